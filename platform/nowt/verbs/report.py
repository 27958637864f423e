"""``nowt report``."""

import argparse
from pathlib import Path

from nowt.errors import require
from nowt.overrides import Override
from nowt.verbs.grammar import Verbs, add_verb
from nowt.verbs.options import none_of

AGAINST = "x axis of the curves: epochs, presentations, flops, seconds (default: epochs)"
MARGIN = "of error: which cells are shown to be this near the reference?"
OF_THE_REPORT = ("margin", "against", "published")  # options that it gets where they are given


def add(verbs: Verbs) -> None:
    """Its grammar."""
    text = "figures and tables of a study or search"
    verb = add_verb(verbs, "report", text, "nowt report rules_on_digits --out figures")
    verb.add_argument("study", nargs="?", help="name or key of a study or search (default: the newest)")
    verb.add_argument("--out", metavar="DIR", help="where they go (default: figures)")
    verb.add_argument("--margin", type=float, metavar="POINTS", help=MARGIN)
    verb.add_argument("--against", metavar="COST", help=AGAINST)
    verb.add_argument("--published", action="store_true", default=None, help="the published ImageNet curves, too")
    verb.add_argument("--check", metavar="DIR", help="draw nothing; exit code 1 if the figures in DIR are stale")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """Figures and tables; or whether those in a folder are stale."""
    from nowt.report import check, write

    none_of(overrides)
    given = {name: value for name in OF_THE_REPORT if (value := getattr(typed, name)) is not None}
    if typed.check is None:
        print(write(Path(typed.store), typed.study, Path(typed.out or "figures"), given))
        return 0
    require(not (given or typed.study or typed.out), "--check DIR draws nothing: give at most --store beside it")
    text, fresh = check(Path(typed.store), Path(typed.check))
    print(text)
    return int(not fresh)
