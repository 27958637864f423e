"""``nowt plan``."""

import argparse

from nowt.overrides import Override
from nowt.verbs.grammar import FIELDS, Verbs, add_placement, add_slots, add_study, add_verb
from nowt.verbs.options import placement, study


def add(verbs: Verbs) -> None:
    """Its grammar."""
    text = "tell before it starts: runs, hours, disk, and the alignment to expect"
    example = "nowt plan rules_on_folder --data-dir pictures/ --optim.weight_decay 0.01"
    verb = add_verb(verbs, "plan", text, example)
    verb.epilog = f"{FIELDS}. {verb.epilog}"
    add_study(verb)
    add_slots(verb)
    add_placement(verb)


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """What a study costs and how far its feedback can align."""
    from nowt.plan import plan

    print(plan(study(typed, overrides), placement(typed)))
    return 0
