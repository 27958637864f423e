"""What the record is made of: a store's study sheets, the logs that belong to each, and certificates."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nowt.log import RunLog, read, read_all
from nowt.record.projection import Sheet

NEEDED = {"key", "name", "question", "reference", "seeds", "created", "runs"}


def read_sheets(store: Path) -> list[Sheet]:
    """Every study's sheet, studies/KEY.json, the oldest first. Raises ValueError for a file that is none."""
    sheets = [_read_sheet(path) for path in sorted((store / "studies").glob("*.json"))]
    return sorted(sheets, key=lambda sheet: int(sheet["created"]))


def listed_runs(store: Path) -> set[str]:
    """The keys of all runs that some study lists."""
    return {run["key"] for sheet in read_sheets(store) for run in sheet["runs"]}


def study_runs(store: Path, sheet: Sheet) -> Iterator[tuple[RunLog, str, int]]:
    """The study's runs that have a log, each with its cell (the first, where cells share a run) and seed."""
    seen = set()
    for run in sheet["runs"]:
        path = store / "logs" / f"{run['key']}.jsonl"
        if run["key"] not in seen and path.exists():
            yield read(path), run["cell"], run["seed"]
        seen.add(run["key"])


def single_runs(store: Path) -> Iterator[tuple[RunLog, str, int]]:
    """The runs that no study lists, each with no cell and its seed."""
    listed = listed_runs(store)
    for run in read_all(store):
        if run.key not in listed:
            yield run, "", run.start["config"]["seed"]


def certificate_of(store: Path, run: RunLog) -> str:
    """The certificate that the run's log names, as JSON text; empty where the store has none of that name."""
    path = store / "certificates" / run.start.get("certificate", "")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _read_sheet(path: Path) -> Sheet:
    sheet = _read(path)
    missing = sorted(NEEDED - sheet.keys())
    if missing:
        raise ValueError(f"{path} is no study's sheet, it has no {', '.join(missing)}: move it away")
    return sheet


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}): move it away") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds {type(found).__name__} where an object belongs: move it away")
    return found
