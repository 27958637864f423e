"""Custom code that ends the process, as a script does that parses its arguments, is an error that names its file."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from io import StringIO
from typing import Any

from nowt.core.errors import ConfigError
from nowt.core.imports import PREFIX
from nowt.core.output import Forwarding

ADVICE = "Put what only a script does under `if __name__ == '__main__':`"

NO_FAILURES = (KeyboardInterrupt, GeneratorExit)  # anything else that custom code raises is an error of that code


class Exits(ConfigError):
    """Custom code ends the process when it is imported."""


@contextmanager
def no_exit_on_import(named: str) -> Iterator[None]:
    """Raise Exits, naming the custom file or module, if its import in the block ends the process.

    What it prints to stderr, such as argparse's usage, is printed at the end of the block if it does not.
    """
    held = _Held(sys.stderr)
    # two threads would restore each other's stderr
    quiet = redirect_stderr(held) if threading.current_thread() is threading.main_thread() else nullcontext()
    try:
        with quiet:
            yield
    except SystemExit as error:
        reason = _reason(error, held.release(forward=False))
        raise Exits(f"{named} ends the process when it is imported ({reason}). {ADVICE}") from error
    finally:
        held.release()


class _Held(Forwarding):
    """Stderr that keeps what is written until its release, and forwards what is written afterwards: the file may have
    given it to a logging handler."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.held: StringIO | None = StringIO()

    def write(self, text: str) -> int:
        """Write ``text`` once it is released."""
        return super().write(text) if self.held is None else self.held.write(text)

    def release(self, forward: bool = True) -> str:
        """Return what is held, and forward it, or drop it."""
        text, self.held = "" if self.held is None else self.held.getvalue(), None
        if forward:
            super().write(text)
        return text


def describe_exit(error: SystemExit, named: str = "") -> str:
    """Return one line that names the custom file whose code has ended the process, or ``named``; empty if neither is
    known."""
    file = named or custom_line(error)[0]
    return f"{file} ends the process ({_reason(error)})" if file else ""


def _reason(error: SystemExit, printed: str = "") -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    if isinstance(error.code, str):
        return error.code.partition("\n")[0]
    return lines[-1] if lines and error.code else f"exit code {error.code or 0}"


def custom_line(error: BaseException) -> tuple[str, int]:
    """Return the innermost custom file on the way to where ``error`` was raised, and its line; an empty text and 0 if
    there is none."""
    found, step = ("", 0), error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        # a method that dataclass generates has no file
        if str(step.tb_frame.f_globals.get("__name__")).startswith(PREFIX) and not file.startswith("<"):
            found = file, step.tb_lineno
        step = step.tb_next
    return found
