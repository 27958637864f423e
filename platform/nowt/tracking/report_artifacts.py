"""A study's report as artifacts of its parent run, in the folder ``report``."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlparse

from mlflow import MlflowClient

from nowt.core.errors import UserError
from nowt.store.layout import Store
from nowt.tracking.database import connect
from nowt.tracking.stored_runs import check_place

FOLDER = "report"


def attach_report(store: Path, study: str, files: Iterable[Path]) -> None:
    """Attach ``files`` to the study in the store's MLflow, replacing an earlier report.

    Raises ValueError for a file that is not a database and for a database without the study, OSError for one that
    cannot be written, and the errors of MLflow and SQLAlchemy.
    """
    if not attach_files(connect(Store(store).mlflow_db), store, study, files):
        raise UserError(f"{store / 'mlflow.db'} has no study {study}")


def attach_files(client: MlflowClient, store: Path, study: str, files: Iterable[Path]) -> bool:
    """Attach ``files`` to the study in the database of ``client``. Return whether the database has the study.

    Raises ConfigError if the database keeps the study's files outside the store.
    """
    experiment = client.get_experiment_by_name(study)
    found = client.search_runs([experiment.experiment_id], f"tags.`nowt.key` = '{study}'") if experiment else []
    for run in found[:1]:
        check_place(run.info.artifact_uri, Store(store).artifacts)
        place = urlparse(run.info.artifact_uri)
        if place.scheme == "file":
            shutil.rmtree(Path(unquote(place.path)) / FOLDER, ignore_errors=True)
        for file in files:
            client.log_artifact(run.info.run_id, str(file), FOLDER)
    return bool(found)


def keep_reports(store: Path, folder: Path) -> dict[str, list[Path]]:
    """Move the attached reports from the store's artifacts into ``folder``. Return the files of each study."""
    kept = {}
    for report in Store(store).artifacts.glob(f"*/*/artifacts/{FOLDER}"):
        study = report.parents[2].name
        place = folder / f"{FOLDER}-{study}"
        if not place.exists() and not report.is_symlink():
            report.replace(place)
            kept[study] = sorted(file for file in place.iterdir() if file.is_file() and not file.is_symlink())
    return kept
