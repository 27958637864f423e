"""Two stores' study sheets by study key: what a study is stands in its key, so only what it lists is joined."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nowt.store.files import write_atomically
from nowt.store.jsonl import whole_lines
from nowt.store.layout import Store
from nowt.store.study_file import read_sheets


def coming_sheets(other: Path, store: Path) -> dict[Path, bytes]:
    """The sheets, and lists of runs beside them, as they should be in ``store``, where they are not yet.

    Raises ValueError for one that cannot be read.
    """
    for folder in (other, store):
        read_sheets(folder)  # each is one
    return {path: text.encode() for path, text in _joined(other, store) if not _says(path, text)}


def take_sheets(sheets: dict[Path, bytes]) -> None:
    """Write them, each whole or not at all."""
    for path, data in sheets.items():
        write_atomically(path, data, durable=True)


def _joined(other: Path, store: Path) -> Iterator[tuple[Path, str]]:
    for path in Store(other).study_files():
        target = Store(store).studies / path.name
        theirs = json.loads(path.read_text(encoding="utf-8"))
        ours = json.loads(target.read_text(encoding="utf-8")) if target.exists() else theirs
        yield target, json.dumps(_both(ours, theirs), indent=1) + "\n"
    for path in Store(other).all_study_runs():
        target = Store(store).studies / path.name
        known = whole_lines(target) if target.exists() else []
        new = [line for line in whole_lines(path) if line not in known]
        yield target, "".join(f"{line}\n" for line in [*known, *new])


def _both(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    return {
        **ours,
        "seeds": sorted({*ours["seeds"], *theirs["seeds"]}),
        "created": min(ours["created"], theirs["created"]),
        "runs": [*ours["runs"], *(run for run in theirs["runs"] if run not in ours["runs"])],
    }


def _says(path: Path, text: str) -> bool:
    if not path.exists():
        return False
    there = path.read_text(encoding="utf-8")
    return bool(json.loads(there) == json.loads(text)) if path.suffix == ".json" else there == text
