"""Standard output that never ends a run: it shows what its encoding has, and drops what cannot be written."""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

SPELLED = {
    "−": "-",  # a minus sign
    "–": "-",
    "—": "-",
    "─": "-",
    "│": "|",
    "×": "x",
    "·": "*",
    "•": "*",
    "°": "deg",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "…": "...",
    "→": "->",
    "α": "alpha",
    "β": "beta",
    "δ": "delta",
    "λ": "lambda",
    "μ": "mu",
    "µ": "u",
    "σ": "sigma",
    "\u00a0": " ",
    "\u2009": " ",
    "\u202f": " ",
}


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Return signs that stand for those which an encoding lacks: a question mark where there are no better ones."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_encodable(SPELLED.get(sign, "?"), error.encoding) for sign in text), error.end


def _encodable(text: str, encoding: str) -> str:
    return text.encode(encoding, "replace").decode(encoding)


def _spelled(text: str, encoding: str) -> str:
    """Return the text with signs that the encoding has."""
    return text.encode(encoding, "nowt.spell").decode(encoding)


codecs.register_error("nowt.spell", _spell)


def print_any_character() -> None:
    """Have ``sys.stdout`` and ``sys.stderr`` of this process spell out characters that their encoding lacks, such as
    ``delta`` for δ in ASCII, in place of raising UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="nowt.spell")


def open_missing_streams() -> None:
    """Open the null device in place of each of stdin, stdout and stderr that is closed, as after ``>&-``. A log would
    otherwise get its descriptor, and be overwritten by what a library prints there."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest descriptor that is free
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115


@contextmanager
def tolerant_output() -> Iterator[None]:
    """Drop, within the block, what is printed and cannot be written: the reader of a pipe has gone, a disk is full, or
    the process has no output at all. One line on stderr says so."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Tolerant(sys.stdout), _Tolerant(sys.stderr)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout, sys.stderr = before


class Forwarding(io.TextIOBase):
    """A text stream in place of another one, ``stream``, of which it has everything that it does not define itself."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write ``text``, if there is a stream."""
        if self.stream is not None:
            self.stream.write(text)
        return len(text)  # not every stream counts, such as that of a worker of Ray

    def flush(self) -> None:
        """Flush the stream."""
        if self.stream is not None:
            self.stream.flush()

    def close(self) -> None:
        """Leave the stream as it is, since others use it too. Python closes each stream object that it collects."""

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self.stream is not None and bool(self.stream.isatty())

    def fileno(self) -> int:
        """Return the descriptor of the stream. Raises OSError if it has none."""
        if self.stream is None:
            raise io.UnsupportedOperation("fileno")
        return int(self.stream.fileno())

    def writable(self) -> bool:
        """Whether the stream can be written to, which is always so."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What the stream does with characters that its encoding lacks."""
        return getattr(self.stream, "errors", None)

    @property
    def buffer(self) -> Any:
        """The stream of bytes below the stream, whose errors are those of the caller."""
        return self.stream.buffer


class _Tolerant(Forwarding):
    """A text stream that writes to another one as long as that can be written."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.is_broken = stream is None

    def write(self, text: str) -> int:
        """Write ``text``, or drop it."""
        self._attempt("write", text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream if it can still be written. A closed one holds nothing; logging flushes it nevertheless when
        Python ends."""
        if not getattr(self.stream, "closed", False):
            self._attempt("flush")

    def _attempt(self, method: str, *arguments: str) -> None:
        if self.is_broken:
            return
        try:
            getattr(self.stream, method)(*arguments)
        except (OSError, ValueError) as error:  # ValueError: it has been closed
            spelled = tuple(_spelled(text, self.encoding) for text in arguments)
            if isinstance(error, UnicodeEncodeError) and spelled != arguments:
                return self._attempt(method, *spelled)
            self.is_broken = True
            self._discard()
            if sys.stderr is not self:
                reason = getattr(error, "strerror", None) or error
                print(f"nowt: the output cannot be written ({reason}): nothing more is printed", file=sys.stderr)

    def _discard(self) -> None:
        """Send what Python still holds for the stream to the null device, so that closing it does not fail either."""
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.stream.fileno())
            os.close(null)
            self.stream.flush()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return not self.is_broken and super().isatty()
