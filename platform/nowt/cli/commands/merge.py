"""``nowt merge``."""

from argparse import Namespace
from pathlib import Path

from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command, local_path
from nowt.store.files import check_writable


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands, "merge", "merge the runs of another store into this one", "nowt merge /mnt/lab/runs --store runs"
    )
    parser.add_argument("other", type=local_path, metavar="STORE", help="folder of the other store; it is not changed")


def run(args: Namespace) -> int:
    """Merge another store's runs into this one."""
    from nowt.cli.databases import databases
    from nowt.store.sync.merge import merge

    check_writable(Path(args.store), "--store")
    merge(Path(args.other), Path(args.store), echo, databases())
    return 0
