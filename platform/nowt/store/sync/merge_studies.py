"""Merges the study files of two stores by study key. The key identifies the study, so only its runs are merged."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nowt.store.files import write_atomically
from nowt.store.jsonl import complete_lines
from nowt.store.layout import Store
from nowt.store.study_file import StudyFile, read_study_files


def incoming_study_files(other: Path, store: Path) -> dict[Path, bytes]:
    """Return the study files and files of appended runs to write to ``store``, with their content.

    Raises ValueError for one that is not valid.
    """
    for folder in (other, store):
        read_study_files(folder)  # raises for an invalid file
    return {path: data for path, data in _joined(other, store) if not _has_content(path, data)}


def write_study_files(study_files: dict[Path, bytes]) -> None:
    """Write the files, each atomically."""
    for path, data in study_files.items():
        write_atomically(path, data, durable=True)


def _joined(other: Path, store: Path) -> Iterator[tuple[Path, bytes]]:
    for path in Store(other).study_files():
        target = Store(store).studies / path.name
        theirs = _content(path)
        ours = _content(target) if target.exists() else theirs
        yield target, (json.dumps(_both(ours, theirs).to_json(), indent=1) + "\n").encode()
    for path in Store(other).all_study_runs():
        target = Store(store).studies / path.name
        known = complete_lines(target) if target.exists() else []
        new = [line for line in complete_lines(path) if line not in known]
        yield target, b"".join(line + b"\n" for line in [*known, *new])


def _both(ours: StudyFile, theirs: StudyFile) -> StudyFile:
    return replace(
        ours,
        seeds=sorted({*ours.seeds, *theirs.seeds}),
        created=min(ours.created, theirs.created),
        runs=[*ours.runs, *(run for run in theirs.runs if run not in ours.runs)],
    )


def _content(path: Path) -> StudyFile:
    """Return the study file without the runs appended beside it."""
    return StudyFile.from_json(json.loads(path.read_text(encoding="utf-8")))


def _has_content(path: Path, data: bytes) -> bool:
    if not path.exists():
        return False
    present = path.read_bytes()
    return bool(json.loads(present) == json.loads(data)) if path.suffix == ".json" else present == data
