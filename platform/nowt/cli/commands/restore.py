"""``nowt restore``."""

from argparse import Namespace
from pathlib import Path

from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command
from nowt.store.files import check_writable


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands, "restore", "restore a store from its backup in a bucket", "nowt restore s3://lab/nowt/store"
    )
    parser.add_argument("url", metavar="s3://BUCKET/PREFIX", help="the destination of nowt backup")
    parser.add_argument(
        "--if-empty", action="store_true", help="do nothing if the store has runs or if there is no backup"
    )
    parser.add_argument(
        "--server",
        action="store_true",
        help="also restore the database and files of nowt serve, which trusts them: only from a bucket to which nobody "
        "else can write",
    )


def run(args: Namespace) -> int:
    """Restore the store from its backup."""
    from nowt.cli.databases import databases
    from nowt.store.sync.restore import restore

    check_writable(Path(args.store), "--store")
    restore(args.url, Path(args.store), echo, databases(), continues=True, if_empty=args.if_empty, server=args.server)
    return 0
