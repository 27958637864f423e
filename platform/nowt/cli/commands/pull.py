"""``nowt pull``."""

from argparse import Namespace
from pathlib import Path

from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command
from nowt.store.files import check_writable


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "pull",
        "fetch the runs of a store on another machine, or of its backup",
        "nowt pull ubuntu@HEAD:nowt/runs",
    )
    parser.add_argument(
        "source",
        metavar="HOST:FOLDER",
        help="a store reached over ssh, FOLDER relative to the home folder there; or s3://BUCKET/PREFIX of a backup",
    )


def run(args: Namespace) -> int:
    """Fetch another machine's runs into this store."""
    from nowt.cli.databases import databases
    from nowt.store.sync.pull import pull

    check_writable(Path(args.store), "--store")
    pull(args.source, Path(args.store), echo, databases())
    return 0
