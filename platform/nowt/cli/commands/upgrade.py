"""``nowt upgrade``."""

from argparse import Namespace
from pathlib import Path

from nowt.cli.options import add_code, import_code
from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command, local_path, store_path
from nowt.config.placement import Placement
from nowt.core.errors import require
from nowt.store.files import check_writable


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "upgrade",
        "give runs of an earlier version of nowt today's run keys, if their content is shown to be equal",
        "nowt upgrade runs --data-dir images/",
        store=False,
    )
    parser.add_argument("store", type=store_path, metavar="STORE", help="folder of the store")
    parser.add_argument(
        "--data-dir",
        type=local_path,
        default="",
        metavar="DIR",
        help="folder of the images, for data sets that are read from disk; run the command once per folder",
    )
    add_code(parser)
    parser.add_argument("--dry-run", action="store_true", help="only list what would be done")
    parser.add_argument(
        "--loaders", type=int, default=2, metavar="N", help="threads that read images (default: %(default)s)"
    )


def run(args: Namespace) -> int:
    """Upgrade a store."""
    from nowt.studies.upgrade.run import upgrade

    require(args.loaders >= 0, f"--loaders is {args.loaders}: it must be at least 0")
    if not args.dry_run:
        check_writable(Path(args.store), "STORE")
    import_code(args)
    upgrade(Placement(store=args.store, data=args.data_dir, loaders=args.loaders), echo, args.dry_run)
    return 0
