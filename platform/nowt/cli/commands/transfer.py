"""``nowt transfer``."""

from argparse import Namespace
from pathlib import Path

from nowt.cli.commands.rerun import rerun
from nowt.cli.options import add_code, add_execution, import_code
from nowt.cli.parser import FIELDS, Commands, add_command
from nowt.store.study_file import find_study_files


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "transfer",
        "run a search's best settings, unchanged, on another model or data set; run the same command again to resume",
        "nowt transfer fair_rules --to digits --model.name resnet20 --epochs 6",
        fields=f"{FIELDS} A field is set in the recipe; hyperparameters that were searched keep their best values.",
    )
    parser.add_argument("space", metavar="SPACE", help="name or key of a search in the store")
    parser.add_argument(
        "--to", required=True, metavar="RECIPE", help="a recipe's name, or FILE.py:FUNCTION that returns a config"
    )
    parser.add_argument(
        "--best", type=int, default=3, metavar="K", help="settings to run per cell (default: %(default)s)"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="fresh seeds per setting (default: %(default)s)"
    )
    add_code(parser)
    add_execution(parser)


def run(args: Namespace) -> int:
    """Run a search's best settings on another recipe."""
    from nowt.studies.lookup import check_recipe, find_recipe

    check_recipe(args.to)  # before torch is imported
    find_study_files(Path(args.store), args.space, searches=True)
    import_code(args)
    from nowt.studies.search.transfer import Target, transfer

    target = Target(Path(args.to.partition(":")[0]).stem, find_recipe(args.to), args.overrides)
    return rerun(args, lambda run: transfer(Path(args.store), args.space, target, args.best, args.seeds, run))
