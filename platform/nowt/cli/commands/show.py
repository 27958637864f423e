"""``nowt show``."""

from argparse import Namespace
from pathlib import Path

from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(commands, "show", "show one run: config, learning curve and alignment", "nowt show 3f2a91")
    parser.add_argument("run_key", metavar="RUN", help="the run's key, or the beginning of it")


def run(args: Namespace) -> int:
    """Print one run."""
    from nowt.cli.tables import run_page

    echo(run_page(Path(args.store), args.run_key))
    return 0
