"""``nowt train``."""

import argparse
from functools import partial

from nowt.cli.options import placement
from nowt.cli.parser import FIELDS, Verbs, add_bucket, add_placement, add_verb, add_workers
from nowt.config.overrides import Override, apply_overrides, describe_fields
from nowt.core.errors import require


def add(verbs: Verbs) -> None:
    """Its grammar."""
    text = "train one run, in this process or on several workers; again to go on where it stopped"
    verb = add_verb(verbs, "train", text, "nowt train digits --rule kp --optim.lr 0.1")
    verb.epilog = f"{FIELDS}. {verb.epilog}"
    verb.add_argument("recipe", help="a recipe's name, or FILE.py:FUNCTION of your own")
    verb.add_argument("--fields", action="store_true", help="list every field with its type and value, and stop")
    add_placement(verb)
    add_bucket(verb)
    add_workers(verb)


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """One run, in this process or on several workers, with its log and record."""
    from nowt.config.recipes import rule_for
    from nowt.studies.lookup import find_recipe

    config = apply_overrides(find_recipe(typed.recipe)(), overrides, partial(rule_for, typed.recipe))
    if typed.fields:
        for path, kind, value in describe_fields(config):
            print(f"--{path:32} {value:20} {kind}")
        return 0
    require(
        typed.workers != 1 or typed.gpus_per_worker is None,
        "--gpus-per-worker is for --workers 2 or more: one worker alone has the GPU that --device names",
    )
    from nowt.studies.single_run import train_one

    return train_one(config, placement(typed), say=print)
