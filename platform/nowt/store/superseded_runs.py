"""Runs in whose place later runs count: those of the same study, cell and seed with other images or other code.

An ablation that was started again lists both runs in its study file if the images have changed. A changed rule or model
gives the study another key, and so another study file of the same name. With other settings, it is another study, whose
runs count as before.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nowt.core.plugins import is_file_spec
from nowt.store.study_file import StudyFile, read_study_files

CellSeed = tuple[str, int]


def superseded_runs(study_files: Sequence[StudyFile]) -> dict[str, dict[str, str]]:
    """Return, for the key of each study, its superseded runs: the key of each, and that of the run in its place."""
    ablations = [file for file in study_files if not file.is_search]
    return {file.key: _superseded(file, [each for each in ablations if each.name == file.name]) for file in ablations}


def superseded_everywhere(store: Path, studies: Iterable[StudyFile] | None = None) -> dict[str, str]:
    """Return the superseded runs of ``studies`` (default: all) that count in none of them: the key of each, and that of
    the run in its place."""
    files = read_study_files(store)
    return superseded_in_all(files, studies)


def superseded_in_all(files: Sequence[StudyFile], studies: Iterable[StudyFile] | None = None) -> dict[str, str]:
    """Return what ``superseded_everywhere`` does, of a store with these study files."""
    by_study = superseded_runs(files)
    found: dict[str, str] = {}
    counted: set[str] = set()
    for file in files if studies is None else studies:
        superseded = by_study.get(file.key, {})
        found |= superseded
        counted |= {run.key for run in file.runs} - superseded.keys()
    return {key: successor for key, successor in found.items() if key not in counted}


def _superseded(study: StudyFile, of_its_name: Sequence[StudyFile]) -> dict[str, str]:
    current = _latest(study)
    for other in sorted(of_its_name, key=_last_start):
        if _last_start(other) > _last_start(study):
            same = {cell for cell, config in _configs(study).items() if _is_same(config, _configs(other).get(cell))}
            current |= {place: key for place, key in _latest(other).items() if place in current and place[0] in same}
    kept = set(current.values())
    return {run.key: current[run.cell, run.seed] for run in study.runs if run.key not in kept}


def _latest(study: StudyFile) -> dict[CellSeed, str]:
    """Return the runs that count in a study: of a cell and seed, the last that it lists."""
    return {(run.cell, run.seed): run.key for run in study.runs}


def _last_start(study: StudyFile) -> int:
    return study.started or study.created  # earlier versions did not record the former


def _configs(study: StudyFile) -> dict[str, dict[str, Any]]:
    return {cell["name"]: cell["config"] for cell in study.cells}


def _is_same(before: Any, now: Any) -> bool:
    """Return whether settings are the same, apart from the paths of files, and from settings that an earlier version
    did not have."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return all(_is_same(value, now[name]) for name, value in before.items() if name in now)
    files = isinstance(before, str) and isinstance(now, str) and is_file_spec(before) and is_file_spec(now)
    return files or bool(before == now)
