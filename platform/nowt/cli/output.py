"""Printing: every line that a command prints goes through here, since it may contain text from a file."""

from nowt.cli.given_paths import as_given
from nowt.core.formatting import printable


def echo(text: object = "", *, flush: bool = False) -> None:
    """Print ``text`` with its control characters as escapes, apart from line feeds and tabs, and with
    paths as they were given.

    Names of cells, reasons of failures and the like are read from stores and buckets that somebody else may have
    written. They must not be able to move the cursor of the terminal or to hide other lines.
    """
    print(printable(as_given(str(text))), flush=flush)
