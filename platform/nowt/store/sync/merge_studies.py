"""Merges the study files of two stores by study key. The key identifies the study, so only its runs are merged."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nowt.core.errors import UserError, require
from nowt.store.claim_record import merged_claim_record
from nowt.store.files import read_plain_file, write_atomically
from nowt.store.jsonl import complete_lines, json_text, parse_line
from nowt.store.layout import Store
from nowt.store.listed_runs import ListedRun, appended_runs
from nowt.store.names import STUDY_KEY
from nowt.store.run_log import read_start
from nowt.store.study_file import StudyFile, read_definition
from nowt.store.sync.merge_runs import runs_of_both


def study_keys(*stores: Path) -> list[str]:
    """Return the keys of the studies in these stores. Raises ValueError for a file that is not valid."""
    keys = {read_definition(path).key for store in stores for path in Store(store).study_files()}
    for path in (path for store in stores for path in Store(store).all_study_runs()):
        list(appended_runs(path))  # raises for an invalid line
        key = path.name.removesuffix(".runs.jsonl")
        require(STUDY_KEY.matches(key), f"{path} is not named by {STUDY_KEY.noun}: move it out of the store")
        keys.add(key)
    return sorted(keys)


def incoming_study_files(other: Path, store: Path, keys: Collection[str]) -> dict[Path, bytes]:
    """Return the study files and files of appended runs to write to ``store``, with their content.

    ``keys`` are the studies that are locked in ``store``. One that has begun in ``other`` since is left out: its file
    here could change before it is written. Raises ValueError for a file that is not valid.
    """
    written: dict[Path, bytes] = {}
    for key in sorted(keys):
        files = dict(_joined(other, store, key))
        _check_readable(other, store, key, files)
        written |= {path: data for path, data in files.items() if not _has_content(path, data)}
    return written


def write_study_files(study_files: dict[Path, bytes]) -> None:
    """Write the files, each atomically."""
    for path, data in study_files.items():
        write_atomically(path, data, durable=True)


def _joined(other: Path, store: Path, key: str) -> Iterator[tuple[Path, bytes]]:
    """Yield the files of one study with the runs of both stores."""
    if study := merged_study(other, store, key):
        yield Store(store).study_file(key), (json_text(study.to_json(), indent=1) + "\n").encode()
    source, target = Store(other).study_runs(key), Store(store).study_runs(key)
    if source.exists():
        known = complete_lines(target) if target.exists() else []
        present = set(known)
        new = [line for line in complete_lines(source) if line not in present]
        yield target, b"".join(line + b"\n" for line in [*known, *new])


def _check_readable(other: Path, store: Path, key: str, files: Mapping[Path, bytes]) -> None:
    """Raise ValueError if the study could not be read any more once the files are written, although each of them
    could: it would be too long, or list runs of cells that the study here does not have."""
    definition, appended = Store(store).study_file(key), Store(store).study_runs(key)
    lines = (
        files[appended].split(b"\n")[:-1]
        if appended in files
        else complete_lines(appended)
        if appended.exists()
        else []
    )
    try:
        runs = [ListedRun.from_json(parse_line(line)) for line in lines]
        if definition in files:
            StudyFile.from_json(parse_line(files[definition])).with_appended(runs)
        elif definition.exists():
            read_definition(definition).with_appended(runs)
    except ValueError as error:
        raise UserError(
            f"{Store(other).study_file(key)} does not fit the study here (with the runs of both: {error}). Nothing "
            "was merged: move it and its runs out of that store"
        ) from None


def merged_study(other: Path, store: Path, key: str) -> StudyFile | None:
    """Return the definition of a study with the runs of both stores; None if ``other`` does not have it.

    Raises ValueError for a file that is not valid.
    """
    source, target = Store(other).study_file(key), Store(store).study_file(key)
    if not source.exists():
        return None
    theirs = read_definition(source)
    ours = read_definition(target) if target.exists() else theirs
    return _both(ours, theirs, lambda run: start_of(store, run).get("time") or start_of(other, run).get("time", 0))


def start_of(store: Path, run: str) -> dict[str, Any]:
    """Return the start line of a run's log; empty without one."""
    log = Store(store).log(run)
    return read_start(log) if log.exists() else {}


def _both(ours: StudyFile, theirs: StudyFile, begun: Callable[[str], int]) -> StudyFile:
    return replace(
        ours,
        seeds=sorted({*ours.seeds, *theirs.seeds}),
        created=min(ours.created, theirs.created),
        started=max(filter(None, (ours.started, theirs.started)), default=None),
        confirm=ours.confirm or theirs.confirm,
        claim=ours.claim or theirs.claim,
        **merged_claim_record(ours, theirs),
        search=ours.search or theirs.search,
        runs=runs_of_both(ours, theirs, begun),
        other={**theirs.other, **ours.other},
    )


def _has_content(path: Path, data: bytes) -> bool:
    if not path.exists():
        return False
    present = read_plain_file(path)
    return bool(parse_line(present) == parse_line(data)) if path.suffix == ".json" else present == data
