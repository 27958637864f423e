"""``nowt report``: the figures that the installed report draws, also as artifacts of the study's run in MLflow."""

from pathlib import Path
from typing import Any

from nowt.find import find_report


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
    if not (store / "mlflow.db").exists():
        return []
    from nowt.record.attach import attach_report
    from nowt.record.quiet import FAILURES

    try:
        attach_report(store, study, paths)
    except FAILURES as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        return [f"not attached to the run in MLflow ({why}): nowt rebuild, then nowt report again"]
    return []
