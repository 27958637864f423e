"""What MLflow shows of a store, as plain data, and logs for tests."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from nowt.config.run_config import RunConfig, config_to_json
from nowt.store.records import Epoch, Layer
from nowt.store.run_log import LogWriter
from nowt.store.study_file import StudyFile, read_study_file
from nowt.tracking.database import database_uri
from nowt.tracking.recorder import Recorder

NAN = float("nan")


def study_file_of(store: Path, key: str) -> StudyFile:
    return read_study_file(store / "studies" / f"{key}.json")


def client_of(store: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=database_uri(store / "mlflow.db"))


def contents(store: Path) -> dict[str, Any]:
    """Everything that MLflow shows of a store; parents are identified by name, since ids are random."""
    client = client_of(store)
    shown = {}
    for experiment in client.search_experiments():
        runs = client.search_runs([experiment.experiment_id])
        names = {run.info.run_id: run.info.run_name for run in runs}
        tags = {name: text for name, text in experiment.tags.items() if name.startswith("mlflow.note")}
        pages = sorted((page_of(client, run, names) for run in runs), key=lambda page: str(page["name"]))
        shown[experiment.name] = {"tags": tags, "runs": pages}
    return shown


def page_of(client: MlflowClient, run: Any, names: dict[str, str]) -> dict[str, Any]:
    tags = dict(run.data.tags)
    if "mlflow.parentRunId" in tags:
        tags["mlflow.parentRunId"] = names[tags["mlflow.parentRunId"]]
    folder = Path(run.info.artifact_uri.removeprefix("file://").replace("%20", " "))
    points = {
        (name, metric.step, metric.timestamp, metric.value)
        for name in run.data.metrics
        for metric in client.get_metric_history(run.info.run_id, name)
    }
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "start": run.info.start_time,
        "end": run.info.end_time,
        "tags": tags,
        "params": run.data.params,
        "points": points,
        "files": {path.name: path.read_text() for path in sorted(folder.glob("*"))},
    }


def shown_afresh(store: Path, empty: Path, folder: Path) -> dict[str, Any]:
    """What MLflow shows of the same logs after they are sent to an empty database."""
    for part in ("logs", "studies"):
        shutil.copytree(store / part, folder / part)
    shutil.copy(empty, folder / "mlflow.db")
    for path in sorted((folder / "studies").glob("*.json")):
        Recorder.open(folder, read_study_file(path))
    return contents(folder)


def epoch(number: int, *layers: Layer, test_error: float = 0.2) -> Epoch:
    base = Epoch(number, 10 * number, 0.1, 1.0, 0.5, 1.1, 0.4, NAN, test_error, 100 * number, 0, 1e6, 2.0, 0.1)
    return replace(base, layers=layers)


def start(folder: Path, key: str, seed: int = 0, certificate: str = "") -> LogWriter:
    writer = LogWriter.open(folder, key)
    writer.start(
        key,
        config=config_to_json(RunConfig(epochs=3, seed=seed)),
        fingerprint="pictures",
        classes=10,
        versions={"torch": "2.14.1"},
        git={"commit": "abc", "dirty": True},
        skipped=["a.jpg"],
        certificate=certificate,
    )
    return writer


def train_again(store: Path, study: str, seed: int) -> str:
    """List and log another run of cell bp with this seed, as after a change of the images; return its key."""
    key = f"00000000000{seed}"
    writer = start(store, key, seed)
    writer.epoch(epoch(0))
    writer.end("finished")
    path = store / "studies" / f"{study}.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "runs": [*data["runs"], {"key": key, "cell": "bp", "seed": seed}]}))
    return key


def run_names(client: MlflowClient, study: str) -> dict[str, tuple[str, str]]:
    """The name in MLflow of each of a study's runs, and the run that counts in its place, by key."""
    experiment = client.get_experiment_by_name(study)
    runs = [run for run in client.search_runs([experiment.experiment_id]) if "cell" in run.data.tags]
    return {run.data.tags["nowt.key"]: (run.info.run_name, run.data.tags.get("superseded.by", "")) for run in runs}
