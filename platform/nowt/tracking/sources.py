"""What the record is made of: a store's study files, the logs that belong to each, and certificates."""

from collections.abc import Iterator
from pathlib import Path

from nowt.store.layout import Store
from nowt.store.records import RunLog
from nowt.store.study_file import StudyFile, read_study_files


def listed_runs(store: Path) -> set[str]:
    """The keys of all runs that some study lists."""
    return {run.key for study_file in read_study_files(store) for run in study_file.runs}


def study_runs(store: Path, study_file: StudyFile) -> Iterator[tuple[Path, str]]:
    """The logs of the study's runs, as far as there are any, each with its cell (the first, where cells share one)."""
    cells: dict[str, str] = {}
    for run in study_file.runs:
        cells.setdefault(run.key, run.cell)
    there = {path.stem for path in Store(store).log_files()}
    return ((Store(store).log(key), cell) for key, cell in cells.items() if key in there)


def single_runs(store: Path) -> Iterator[tuple[Path, str]]:
    """The logs of the runs that no study lists, each with no cell."""
    listed = listed_runs(store)
    return ((path, "") for path in Store(store).log_files() if path.stem not in listed)


def certificate_of(store: Path, run: RunLog) -> str:
    """The certificate that the run's log names, as JSON text; empty where the store has none of that name."""
    path = Store(store).certificates / run.start.get("certificate", "")
    return path.read_text(encoding="utf-8") if path.is_file() else ""
