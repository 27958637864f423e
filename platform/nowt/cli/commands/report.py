"""``nowt report``."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from nowt.cli.given_paths import as_given
from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command, local_path
from nowt.core.errors import require
from nowt.store.files import write_problem
from nowt.store.layout import Store

REPORT_OPTIONS = ("margin", "against", "published")  # passed to the report only if they are given


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "report",
        "draw the figures and tables of a study or search",
        "nowt report rules_on_digits --out figures",
    )
    parser.add_argument(
        "study", metavar="STUDY", nargs="?", help="name or key of a study or search (default: the newest)"
    )
    parser.add_argument("--out", type=local_path, metavar="DIR", help="folder of the figures (default: figures)")
    parser.add_argument(
        "--margin",
        type=float,
        metavar="POINTS",
        help="equivalence margin in percentage points of error: tests which cells are equivalent to the reference "
        "within this margin (default: no test)",
    )
    parser.add_argument(
        "--against",
        metavar="COST",
        help="x axis of the curves: epochs, presentations, flops or seconds (default: epochs)",
    )
    parser.add_argument(
        "--published", action="store_true", default=None, help="also draw the published ImageNet curves"
    )
    parser.add_argument(
        "--check",
        type=local_path,
        metavar="DIR",
        help="draw nothing; exit with 1 if the figures in DIR are out of date",
    )


def run(args: Namespace) -> int:
    """Draw figures and tables, or check whether those in a folder are out of date."""
    given = {name: value for name in REPORT_OPTIONS if (value := getattr(args, name)) is not None}
    if args.check is None:
        # as given, since the manifest contains the command
        store, out = Path(as_given(args.store)), Path(as_given(args.out or "figures"))
        echo(write(store, args.study, out, given))
        return 0
    require(not (given or args.study or args.out), "--check DIR draws nothing: it can be combined with --store only")
    text, fresh = check(Path(args.store), Path(args.check))
    echo(text)
    return int(not fresh)


def write(store: Path, study: str | None, out: Path, options: dict[str, Any]) -> str:
    """Write figures and tables to ``out``, attach them to the study in MLflow, and return what was written."""
    from nowt.store.study_file import ambiguity_remark, find_study_files
    from nowt.studies.lookup import find_report

    find_study_files(store, study)  # before pandas and the figures are imported, which takes seconds
    made = find_report()(store, study, out, **options)
    remark = ambiguity_remark(store, study) if study else ""
    return "\n".join(filter(None, [str(made), remark, *_attached(store, made.study, made.paths)]))


def check(store: Path, folder: Path) -> tuple[str, bool]:
    """Return what has changed since the figures in ``folder`` were drawn, and whether they are up to date."""
    from nowt.store.existing import require_store
    from nowt.studies.lookup import find_report

    require_store(store)
    found = find_report("check")(store, folder)
    return str(found), bool(found.fresh)


def _attached(store: Path, study: str, paths: tuple[Path, ...]) -> list[str]:
    """Return one line if the report could not be attached in MLflow; none if the store has no MLflow database."""
    if not Store(store).mlflow_db.exists():
        return []
    unattached = "the report is not attached to the study in MLflow"
    if problem := write_problem(store):
        return [f"{unattached} ({problem})"]
    from nowt.tracking.background import FAILURES
    from nowt.tracking.report_artifacts import attach_report

    try:
        attach_report(store, study, paths)
    except FAILURES as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return [f"{unattached} ({reason}): run nowt rebuild, then this again"]
    return []
