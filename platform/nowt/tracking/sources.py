"""The sources of what MLflow shows: the logs of each study in a store, and certificates."""

from collections.abc import Iterator
from pathlib import Path

from nowt.store.certificates import certificate_text, read_certificate
from nowt.store.layout import Store
from nowt.store.records import RunLog
from nowt.store.study_file import StudyFile, read_study_files


def listed_runs(store: Path) -> set[str]:
    """Return the keys of all runs that a study lists."""
    return {run.key for study_file in read_study_files(store) for run in study_file.runs}


def study_runs(store: Path, study_file: StudyFile) -> Iterator[tuple[Path, str]]:
    """Yield the existing logs of the study's runs, each with its cell; a run that cells share belongs to the first."""
    cells: dict[str, str] = {}
    for run in study_file.runs:
        cells.setdefault(run.key, run.cell)
    existing = {path.stem for path in Store(store).log_files()}
    return ((Store(store).log(key), cell) for key, cell in cells.items() if key in existing)


def single_runs(store: Path) -> Iterator[tuple[Path, str]]:
    """Yield the logs of the runs that no study lists, each with an empty cell."""
    listed = listed_runs(store)
    return ((path, "") for path in Store(store).log_files() if path.stem not in listed)


def certificate_of(store: Path, run: RunLog) -> str:
    """Return the certificate that the run's log names, as JSON text; empty if the store does not have it."""
    name = run.start.get("certificate", "")
    return certificate_text(store, name).decode() if read_certificate(store, name) else ""
