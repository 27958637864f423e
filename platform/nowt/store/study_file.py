"""A study's sheet: what it is, frozen as ``studies/KEY.json`` at its first start, and the runs that it lists.

A search lists the runs of its trials as they come, one line of JSON each in ``studies/KEY.runs.jsonl``, so that one
more trial costs the same however many came before.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nowt.store.files import write_atomically
from nowt.store.jsonl import drop_torn_line, whole_lines
from nowt.store.layout import Store

Sheet = dict[str, Any]

SCHEMA = 1  # of a sheet; one without is of the first

NEEDED = {"key", "name", "question", "reference", "seeds", "created", "runs"}


def freeze(store: Path, key: str, content: Sheet, runs: Sequence[dict[str, Any]] = ()) -> tuple[Sheet, str]:
    """Write the sheet of study ``key``, with ``runs`` beside those it lists already; the sheet as it reads now, and a
    remark where another study of this name ran before."""
    path = Store(store).study_file(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = _object(path) if path.exists() else {}
    others = sorted(p.stem for p in path.parent.glob(f"{content['name']}-????????.json") if p != path)
    listed = [run for run in known.get("runs", []) if run not in runs] + list(runs)
    seeds = sorted({*content["seeds"], *(run["seed"] for run in listed)})
    created = known.get("created", time.time_ns() // 1_000_000)
    sheet = {"schema": SCHEMA, **content, "seeds": seeds, "key": key, "created": created, "runs": listed}
    write_atomically(path, json.dumps(sheet, indent=1) + "\n", durable=False)
    if (later := _later(path)).exists():
        drop_torn_line(later)
    remark = f"{content['name']} has changed since {', '.join(others)}: this is a new study, {key}"
    return read_sheet(path), remark if others and not known else ""


def list_run(store: Path, sheet: Sheet, run: dict[str, Any]) -> None:
    """List one more run, in the sheet and on disk."""
    sheet["runs"].append(run)
    _append(store, sheet, run)


def list_stop(store: Path, sheet: Sheet, run: dict[str, Any], epoch: int, reason: str) -> None:
    """Say on disk that the study stopped a listed run after ``epoch``, whatever another study makes of it."""
    _append(store, sheet, {**run, "stopped": epoch, "reason": reason})


def list_failure(store: Path, sheet: Sheet, run: dict[str, Any]) -> None:
    """Say on disk that a listed run failed here: another trial takes it on, under a number of its own."""
    _append(store, sheet, {**run, "failed": True})


def _append(store: Path, sheet: Sheet, line: dict[str, Any]) -> None:
    with Store(store).study_runs(sheet["key"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_sheet(path: Path) -> Sheet:
    """The sheet at ``path`` with every run it lists. Raises ValueError for a file that is none."""
    sheet = _object(path)
    if (schema := sheet.get("schema", SCHEMA)) != SCHEMA:
        raise ValueError(
            f"{path} is a sheet of schema {schema}, this nowt reads {SCHEMA}: update nowt, or move it away"
        )
    missing = sorted(NEEDED - sheet.keys())
    if missing:
        raise ValueError(f"{path} is no study's sheet, it has no {', '.join(missing)}: move it away")
    later = _later(path)
    lines = whole_lines(later) if later.exists() else []
    try:
        return {**sheet, "runs": [*sheet["runs"], *_merged(map(json.loads, lines))]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{later} has a line that lists no run ({error}): restore it from a copy") from None


def _merged(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that the lines list, each once, with the last that is said of it."""
    runs: dict[tuple[str, str, int], dict[str, Any]] = {}
    for line in lines:
        runs.setdefault((line["key"], line["cell"], line.get("trial", 0)), {}).update(line)
    return list(runs.values())


def each_once(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A search's runs without each that failed and that a later trial of its cell took on, under its own number."""
    last = {(run["key"], run["cell"]): run["trial"] for run in runs}
    return [run for run in runs if "failed" not in run or last[run["key"], run["cell"]] == run["trial"]]


def read_sheets(store: Path) -> list[Sheet]:
    """Every study's sheet, the oldest first. Raises ValueError for a file that is none."""
    return sorted(_each(store), key=lambda sheet: int(sheet["created"]))


def _each(store: Path) -> Iterator[Sheet]:
    for path in Store(store).study_files():
        yield read_sheet(path)


def _later(path: Path) -> Path:
    return path.with_suffix(".runs.jsonl")


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}): move it away") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds {type(found).__name__} where an object belongs: move it away")
    return found
