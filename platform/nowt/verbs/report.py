"""``nowt report``."""

import argparse
from pathlib import Path

from nowt.overrides import Override
from nowt.verbs.grammar import Verbs, add_verb
from nowt.verbs.options import none_of


def add(verbs: Verbs) -> None:
    """Its grammar."""
    text = "figures and tables of a study or search"
    verb = add_verb(verbs, "report", text, "nowt report rules_on_digits --out figures")
    verb.add_argument("study", nargs="?", help="name or key of a study or search (default: the newest)")
    verb.add_argument("--out", default="figures", metavar="DIR", help="where they go (default: figures)")
    margin = "of error: which cells are shown to be this near the reference?"
    verb.add_argument("--margin", type=float, metavar="POINTS", help=margin)


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """Figures and tables."""
    from nowt.find import find_report

    none_of(overrides)
    print(find_report()(Path(typed.store), typed.study, Path(typed.out), margin=typed.margin))
    return 0
