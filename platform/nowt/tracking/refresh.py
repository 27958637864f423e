"""Updates a store's MLflow database from its logs, or rebuilds it."""

import shutil
from pathlib import Path

from nowt.store.existing import require_store
from nowt.store.layout import Store
from nowt.store.links import check_links
from nowt.store.run_log import read_all
from nowt.store.study_file import StudyFile, read_study_files
from nowt.store.temporary_files import temporary_folder
from nowt.tracking.database import connect
from nowt.tracking.recorder import Recorder
from nowt.tracking.report_artifacts import attach_files, keep_reports
from nowt.tracking.sources import single_runs


def update_tracking(store: Path, afresh: bool) -> None:
    """Update the store's MLflow database. Rebuild it if it is missing, or if ``afresh`` is True because a log was
    replaced by one that does not extend it."""
    if afresh or not Store(store).mlflow_db.exists():
        rebuild(store)
        return
    for study_file in read_study_files(store):
        Recorder.open(store, study_file)
    if any(True for _ in single_runs(store)):
        Recorder.open(store, None)


def rebuild(store: Path) -> int:
    """Rebuild ``mlflow.db`` and the artifacts from logs, study files and certificates, and keep attached reports.
    Return the number of runs.

    The old database stays until the new one is complete. Raises ValueError for a missing store, and for an unreadable
    log or study file.
    """
    require_store(store)
    check_links(store)
    studies: list[StudyFile | None] = [*read_study_files(store)]
    logged = {run.key for run in read_all(store)}  # raises for an unreadable log, before anything is deleted
    if logged - {run.key for study_file in studies if study_file for run in study_file.runs}:
        studies.append(None)
    with temporary_folder(store / ".mlflow") as folder:
        database = folder / "mlflow.db"
        client = connect(database)
        reports = keep_reports(store, folder)
        shutil.rmtree(Store(store).artifacts, ignore_errors=True)
        recorders = [Recorder.for_client(client, store, study) for study in studies]
        for key, files in reports.items():
            attach_files(client, store, key, files)
        database.replace(Store(store).mlflow_db)
    return sum(len(recorder.rows) - (recorder.study is not None) for recorder in recorders)
