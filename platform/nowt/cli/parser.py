"""Argument parsers for ``nowt`` and its commands, whose errors are one line and are raised."""

import argparse
import os
import textwrap
from argparse import ArgumentError, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

from nowt.cli.given_paths import absolute
from nowt.core.errors import ConfigError, did_you_mean
from nowt.core.file_systems import encoding_problem

DEFAULT_STORE = "runs"  # need not exist yet

WIDTH = 80  # columns of the help texts

FIELDS = (
    "Any field of the config can be set by its dotted path, before or after the other options: "
    "--optim.lr 0.2 --rule kp --rule.scale 2. 'nowt train RECIPE --fields' lists all fields."
)


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that raises ConfigError instead of printing its usage and exiting."""

    def __init__(self, **settings: Any) -> None:
        self.options: list[str] = []  # every option, as it is typed
        self.takes_fields = False  # whether config fields can be given beside the options
        super().__init__(
            allow_abbrev=False, exit_on_error=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings
        )

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Add an argument, and note its option strings."""
        self.options += [name for name in names if name.startswith("-")]
        return super().add_argument(*names, **settings)

    def parse_options(self, tokens: Sequence[str]) -> tuple[Namespace, list[str]]:
        """Return the options' values and the tokens that belong to none. Raises ConfigError for a wrong value."""
        try:
            return self.parse_known_args(tokens)
        except ArgumentError as error:
            if error.argument_name is None:
                self.error(error.message)
            is_option = error.argument_name.startswith("-")  # the name of another argument is not typed
            raise ConfigError(f"{error.argument_name}: {error.message}" if is_option else error.message) from None

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError. argparse calls this for a missing argument, which has no ArgumentError in Python 3.11."""
        raise ConfigError(f"{message} (see {self.prog} --help)")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a type for ``add_argument`` that accepts the ``choices`` and suggests the nearest for any other text."""

    def choice(text: str) -> str:
        if text not in choices:
            raise ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}{did_you_mean(text, choices)}")
        return text

    return choice


def local_path(text: str) -> str:
    """Type for ``add_argument``: a path on this machine, which becomes absolute. In ``--store=~/runs`` a shell does not
    expand ``~``."""
    path = os.path.expanduser(text)
    if path == text and text.startswith("~"):
        user = text[1:].partition("/")[0]
        raise ArgumentTypeError(f"there is no user {user!r}, whose home folder {text!r} names")
    return absolute(path)


def store_path(text: str) -> str:
    """Type for ``add_argument``: the folder of a store on this machine."""
    path = local_path(text)
    if problem := encoding_problem(path):
        raise ArgumentTypeError(problem)
    return path


def add_command(
    commands: Commands, name: str, summary: str, example: str, *, store: bool = True, fields: str | None = None
) -> Parser:
    """Add a command with the options that all commands share.

    ``summary`` begins in lower case and has no full stop. ``store``: whether the command reads ``--store``.
    ``fields``: which config fields can be set, and what they change; None for a command that takes no fields.
    """
    paragraphs = [] if fields is None else [textwrap.fill(fields, WIDTH)]
    parser = commands.add_parser(
        name,
        help=summary,
        description=textwrap.fill(f"{summary[0].upper()}{summary[1:]}.", WIDTH),
        epilog="\n\n".join([*paragraphs, f"example:\n  {example}"]),
    )
    parser.takes_fields = fields is not None
    parser.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    if store:
        parser.add_argument(
            "--store",
            type=store_path,
            default=DEFAULT_STORE,
            metavar="DIR",
            help="folder of the store (default: %(default)s)",
        )
    return parser
