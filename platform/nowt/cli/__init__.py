"""The command line: ``nowt COMMAND``."""

from nowt.cli.main import main

__all__ = ["main"]
