"""``nowt plan``."""

import argparse

from nowt.cli.options import placement, study
from nowt.cli.parser import FIELDS, Verbs, add_placement, add_slots, add_study, add_verb
from nowt.config.overrides import Override


def add(verbs: Verbs) -> None:
    """Its grammar."""
    text = "tell before it starts: runs, hours, disk, seeds, and the alignment to expect"
    example = "nowt plan rules_on_folder --data-dir pictures/ --gap 1.5"
    verb = add_verb(verbs, "plan", text, example)
    verb.epilog = f"{FIELDS}. {verb.epilog}"
    add_study(verb)
    verb.add_argument("--gap", type=float, metavar="POINTS", help="the gap to find: how many seeds does it take?")
    deviation = "of that gap over seeds (default: as in earlier runs)"
    verb.add_argument("--deviation", type=float, metavar="POINTS", help=deviation)
    add_slots(verb)
    add_placement(verb)


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """What a study costs, how far its feedback can align, and what its seeds can find."""
    from nowt.studies.planning.estimate import plan
    from nowt.studies.planning.seed_count import TargetGap

    sought = TargetGap(typed.gap, typed.deviation)
    print(plan(study(typed, overrides), placement(typed), sought))
    return 0
