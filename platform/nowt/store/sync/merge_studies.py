"""Merges the study files of two stores by study key. The key identifies the study, so only its runs are merged."""

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from nowt.store.files import write_atomically
from nowt.store.jsonl import complete_lines
from nowt.store.layout import Store
from nowt.store.listed_runs import ListedRun, appended_runs
from nowt.store.study_file import StudyFile, read_definition


def study_keys(*stores: Path) -> list[str]:
    """Return the keys of the studies in these stores. Raises ValueError for a file that is not valid."""
    keys = {read_definition(path).key for store in stores for path in Store(store).study_files()}
    for path in (path for store in stores for path in Store(store).all_study_runs()):
        list(appended_runs(path))  # raises for an invalid line
        keys.add(path.name.removesuffix(".runs.jsonl"))
    return sorted(keys)


def incoming_study_files(other: Path, store: Path, keys: Collection[str]) -> dict[Path, bytes]:
    """Return the study files and files of appended runs to write to ``store``, with their content.

    ``keys`` are the studies that are locked in ``store``. One that has begun in ``other`` since is left out: its file
    here could change before it is written. Raises ValueError for a file that is not valid.
    """
    written = ((path, data) for key in sorted(keys) for path, data in _joined(other, store, key))
    return {path: data for path, data in written if not _has_content(path, data)}


def write_study_files(study_files: dict[Path, bytes]) -> None:
    """Write the files, each atomically."""
    for path, data in study_files.items():
        write_atomically(path, data, durable=True)


def _joined(other: Path, store: Path, key: str) -> Iterator[tuple[Path, bytes]]:
    """Yield the files of one study with the runs of both stores."""
    source, target = Store(other).study_file(key), Store(store).study_file(key)
    if source.exists():
        theirs = read_definition(source)
        ours = read_definition(target) if target.exists() else theirs
        yield target, (json.dumps(_both(ours, theirs).to_json(), indent=1) + "\n").encode()
    source, target = Store(other).study_runs(key), Store(store).study_runs(key)
    if source.exists():
        known = complete_lines(target) if target.exists() else []
        present = set(known)
        new = [line for line in complete_lines(source) if line not in present]
        yield target, b"".join(line + b"\n" for line in [*known, *new])


def _both(ours: StudyFile, theirs: StudyFile) -> StudyFile:
    return replace(
        ours,
        seeds=sorted({*ours.seeds, *theirs.seeds}),
        created=min(ours.created, theirs.created),
        started=max(filter(None, (ours.started, theirs.started)), default=None),
        confirm=ours.confirm or theirs.confirm,
        claim=ours.claim or theirs.claim,
        claimed=_claimed(ours, theirs),
        runs=_runs_of_both(ours.runs, theirs.runs),
        other={**theirs.other, **ours.other},
    )


def _claimed(ours: StudyFile, theirs: StudyFile) -> int | None:
    """Return when the claim that ``_both`` keeps was first recorded."""
    if ours.claim is None:
        return theirs.claimed
    both = [file.claimed for file in (ours, theirs) if file.claim == ours.claim and file.claimed is not None]
    return min(both, default=None)


def _runs_of_both(ours: list[ListedRun], theirs: list[ListedRun]) -> list[ListedRun]:
    """Return our runs and then those that only ``theirs`` has. Fields that differ are ours."""
    known = {run.identity: run.to_json() for run in theirs}
    listed = {run.identity for run in ours}
    both = [ListedRun.from_json({**known.get(run.identity, {}), **run.to_json()}) for run in ours]
    return [*both, *(run for run in theirs if run.identity not in listed)]


def _has_content(path: Path, data: bytes) -> bool:
    if not path.exists():
        return False
    present = path.read_bytes()
    return bool(json.loads(present) == json.loads(data)) if path.suffix == ".json" else present == data
