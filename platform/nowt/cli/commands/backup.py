"""``nowt backup``."""

import signal
from argparse import Namespace
from functools import partial
from pathlib import Path
from threading import Event

from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command
from nowt.core.errors import require


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands, "backup", "back up a store to a bucket", "nowt backup s3://lab/nowt/store --every 240"
    )
    parser.add_argument("url", metavar="s3://BUCKET/PREFIX", help="destination; one prefix per store")
    parser.add_argument(
        "--every", type=float, metavar="S", help="repeat every S seconds and once more at the end (default: once only)"
    )


def run(args: Namespace) -> int:
    """Copy the store to a bucket; with ``--every`` until Ctrl-C or SIGTERM, and once more then."""
    from nowt.store.sync.backup import backup

    require(args.every is None or args.every > 0, f"--every is {args.every}: it must be more than 0 seconds")
    end = Event()
    if args.every is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: end.set())
    backup(Path(args.store), args.url, args.every, partial(echo, flush=True), end)
    return 0
