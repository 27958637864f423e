"""``nowt report``."""

import argparse
from pathlib import Path
from typing import Any

from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override
from nowt.core.errors import require
from nowt.store.layout import Store
from nowt.studies.lookup import find_report

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
    pass

    none_of(overrides)
    given = {name: value for name in OF_THE_REPORT if (value := getattr(typed, name)) is not None}
    if typed.check is None:
        print(write(Path(typed.store), typed.study, Path(typed.out or "figures"), given))
        return 0
    require(not (given or typed.study or typed.out), "--check DIR draws nothing: give at most --store beside it")
    text, fresh = check(Path(typed.store), Path(typed.check))
    print(text)
    return int(not fresh)


def write(store: Path, study: str | None, out: Path, options: dict[str, Any]) -> str:
    """Write figures and tables into ``out``, and into the study's record where the store has one; what was written."""
    made = find_report()(store, study, out, **options)
    return "\n".join([str(made), *_attached(store, made.study, made.paths)])


def check(store: Path, folder: Path) -> tuple[str, bool]:
    """What has changed since the figures in ``folder`` were drawn, and whether they still show what the logs say."""
    found = find_report("check")(store, folder)
    return str(found), bool(found.fresh)


def _attached(store: Path, study: str, paths: tuple[Path, ...]) -> list[str]:
    """A line where the record could not be written; a store without one needs none."""
    if not Store(store).mlflow_db.exists():
        return []
    from nowt.tracking.background import FAILURES
    from nowt.tracking.report_artifacts import attach_report

    try:
        attach_report(store, study, paths)
    except FAILURES as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        return [f"not attached to the run in MLflow ({why}): nowt rebuild, then nowt report again"]
    return []
