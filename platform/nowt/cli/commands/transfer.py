"""``nowt transfer``."""

import argparse
from pathlib import Path

from nowt.cli.commands.rerun import again
from nowt.cli.parser import FIELDS, Verbs, add_how, add_verb
from nowt.config.overrides import Override


def add(verbs: Verbs) -> None:
    """Its grammar."""
    text = "run a search's best settings, unchanged, on another net or other pictures; again to resume"
    verb = add_verb(verbs, "transfer", text, "nowt transfer fair_rules --to digits --model.name resnet20 --epochs 6")
    verb.epilog = f"{FIELDS}; it changes the recipe, a setting keeps its optimiser. {verb.epilog}"
    verb.add_argument("space", help="name or key of a search in the store")
    verb.add_argument("--to", required=True, metavar="RECIPE", help="a recipe's name, or FILE.py:FUNCTION of your own")
    verb.add_argument("--best", type=int, default=3, metavar="K", help="settings of each rule (default: 3)")
    verb.add_argument("--seeds", type=int, default=3, metavar="N", help="fresh seeds (default: 3)")
    add_how(verb)


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """A search's best settings on another recipe."""
    from nowt.studies.lookup import find_recipe
    from nowt.studies.search.transfer import Target, transfer

    target = Target(Path(typed.to.partition(":")[0]).stem, find_recipe(typed.to), overrides)
    return again(typed, lambda go: transfer(Path(typed.store), typed.space, target, typed.best, typed.seeds, go))
