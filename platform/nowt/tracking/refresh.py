"""Brings MLflow and the frames up to date with a store."""

from pathlib import Path

from nowt.store.layout import Store
from nowt.store.study_file import read_study_files


def bring_up_to_date(store: Path, afresh: bool) -> None:
    """The store's own record; from nothing where a log was replaced by one that does not begin as it did."""
    from nowt.tracking.recorder import Recorder, rebuild
    from nowt.tracking.sources import single_runs

    if afresh or not Store(store).mlflow_db.exists():
        rebuild(store)
        return
    for study_file in read_study_files(store):
        Recorder.open(store, study_file)
    if any(True for _ in single_runs(store)):
        Recorder.open(store, None)
