"""``nowt train``."""

from argparse import Namespace
from functools import partial

from nowt.cli.fields import check_rule_names
from nowt.cli.options import add_audit, add_bucket, add_placement, add_workers, placement
from nowt.cli.output import echo
from nowt.cli.parser import FIELDS, Commands, add_command
from nowt.core.errors import require


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "train",
        "train one run, in this process or on several workers; run the same command again to resume",
        "nowt train digits --rule kp --optim.lr 0.1",
        fields=FIELDS,
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe's name, or FILE.py:FUNCTION that returns a config")
    parser.add_argument("--fields", action="store_true", help="list every field with its value and type, and exit")
    add_placement(parser)
    add_audit(parser)
    add_bucket(parser)
    add_workers(parser)


def run(args: Namespace) -> int:
    """Train one run, with its epoch log and its entry in MLflow."""
    from nowt.studies.lookup import check_recipe, find_recipe

    check_recipe(args.recipe)  # before torch is imported
    check_rule_names(args.overrides)
    from nowt.config.overrides import apply_overrides, describe_fields
    from nowt.config.recipes import rule_for

    config = apply_overrides(find_recipe(args.recipe)(), args.overrides, partial(rule_for, args.recipe))
    if args.fields:
        for path, kind, value in describe_fields(config):
            echo(f"--{path:32} {value:20} {kind}")
        return 0
    require(
        args.workers != 1 or args.gpus_per_worker is None,
        "--gpus-per-worker needs --workers 2 or more: a single worker uses the GPU of --device",
    )
    from nowt.studies.single_run import train_one

    return train_one(config, placement(args), echo)
