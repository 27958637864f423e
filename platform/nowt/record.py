"""The record: MLflow as a projection of the epoch logs. The only module with mlflow; it imports no torch.

Experiment = study, parent run = study, child runs = runs, found again by run key. Every number goes with its epoch as
step and the log's own time, so that sending twice changes nothing. Undefined numbers are left out: MLflow would store
NaN as 0 beside a flag.
"""

import json
import logging
import math
import os
import shutil
import sqlite3
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nowt.log import Epoch, RunLog, read_all

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

SINGLE: dict[str, Any] = {
    "key": "single runs",
    "name": "single runs",
    "question": "Runs of nowt train, in no study.",
    "created": 0,
}
METRICS_A_CALL = 1000  # MLflow's own limit
STATUS = {"finished": "FINISHED", "diverged": "FINISHED", "failed": "FAILED"}
NUMBERS = (
    "train_loss", "train_error", "val_loss", "val_error", "test_loss", "test_error", "lr",
    "presentations", "mirror_presentations", "flops", "seconds", "probe_seconds",
)  # fmt: skip


@dataclass
class Record:
    """One open connection for one study."""

    store: Path
    study: dict[str, Any]
    client: Any
    experiment: str
    parent: str | None
    ids: dict[str, str] = field(default_factory=dict)  # MLflow's run id by run key
    sent: dict[str, int] = field(default_factory=dict)  # last epoch sent, by run key
    states: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, store: Path, study: dict[str, Any] | None) -> "Record":
        """Connect, and make the schema, the experiment and the parent run where they are missing."""
        client, study = _client(store), study or SINGLE
        experiment = _experiment(client, store, study)
        record = cls(store, study, client, experiment, None)
        for run in _runs(client, experiment):
            record.ids[run.data.tags.get("nowt.key", "")] = run.info.run_id
        if study is not SINGLE:
            record.parent = record.ids.get(study["key"]) or record._make_parent()
        return record

    def update(self, run: RunLog, cell: str, seed: int) -> None:
        """Bring one run up to date: what is new goes in batches."""
        if not run.start:
            return
        run_id = self.ids.get(run.key) or self._make_child(run, cell, seed)
        self.ids[run.key] = run_id
        if run.key not in self.sent:
            self.sent[run.key] = self._last_step(run_id)
        self._send(run_id, run)
        if run.state != self.states.get(run.key):
            self._state(run_id, run)

    def close(self, state: str) -> None:
        """Say how the study stands."""
        if self.parent is not None:
            self.client.set_tag(self.parent, "nowt.state", state)
            self.client.set_terminated(self.parent, "FINISHED", end_time=self.study["created"])

    def _send(self, run_id: str, run: RunLog) -> None:
        from mlflow.entities import Metric

        new = [(e, t) for e, t in zip(run.epochs, run.times, strict=True) if e.epoch > self.sent[run.key]]
        points = [Metric(name, value, time, e.epoch) for e, time in new for name, value in _numbers(e).items()]
        for i in range(0, len(points), METRICS_A_CALL):
            self.client.log_batch(run_id, metrics=points[i : i + METRICS_A_CALL])
        self.sent[run.key] = run.last_epoch

    def _state(self, run_id: str, run: RunLog) -> None:
        self.states[run.key] = run.state
        self.client.set_tag(run_id, "nowt.state", run.state)
        if run.reason:
            self.client.set_tag(run_id, "nowt.reason", run.reason[-5000:])
        if run.state in STATUS:
            end = run.times[-1] if run.times else run.start["time"]
            self.client.set_terminated(run_id, STATUS[run.state], end_time=end)
        else:
            self.client.update_run(run_id, status="RUNNING")

    def _last_step(self, run_id: str) -> int:
        history = self.client.get_metric_history(run_id, "val_loss")
        return max((m.step for m in history), default=-1)

    def _make_parent(self) -> str:
        tags = {
            "nowt.key": self.study["key"],
            "nowt.kind": "study",
            "mlflow.note.content": self.study["question"],
        }
        run = self.client.create_run(
            self.experiment,
            start_time=self.study["created"],
            tags=tags,
            run_name=f"study {self.study['name']}",
        )
        return str(run.info.run_id)

    def _make_child(self, run: RunLog, cell: str, seed: int) -> str:
        model = run.start["config"]["model"]["name"]
        name = f"{cell} {model} seed {seed}"
        tags = _tags(run, cell, seed, self.study["key"])
        if self.parent is not None:
            tags["mlflow.parentRunId"] = self.parent
        made = self.client.create_run(self.experiment, start_time=run.start["time"], tags=tags, run_name=name)
        run_id = str(made.info.run_id)
        self._describe(run_id, run)
        return run_id

    def _describe(self, run_id: str, run: RunLog) -> None:
        from mlflow.entities import Param

        params = [Param(name, str(value)) for name, value in flatten(run.start["config"]).items()]
        self.client.log_batch(run_id, params=params)
        self.client.log_dict(run_id, run.start["config"], "config.json")
        name = run.start.get("certificate")
        path = self.store / "certificates" / name if name else None
        if path is not None and path.exists():
            self.client.log_dict(run_id, json.loads(path.read_text()), "certificate.json")


def flatten(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under their dotted names; None as ``none``."""
    flat: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = "none" if value is None else value
    return flat


def _numbers(epoch: Epoch) -> dict[str, float]:
    """What a person reads: losses, errors, costs, and each alignment measure's spread over layers."""
    numbers = {name: float(getattr(epoch, name)) for name in NUMBERS}
    for measure in ("matrix_angle", "delta_angle", "norm_ratio"):
        values = [getattr(layer, measure) for layer in epoch.layers]
        defined = [value for value in values if math.isfinite(value)]
        if defined:
            numbers |= {
                f"{measure}/min": min(defined),
                f"{measure}/median": statistics.median(defined),
                f"{measure}/max": max(defined),
                f"{measure}/last_layer": values[-1],
            }
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _tags(run: RunLog, cell: str, seed: int, study: str) -> dict[str, str]:
    start, config = run.start, run.start["config"]
    tags = {
        "nowt.key": run.key,
        "nowt.kind": "run",
        "study": study,
        "cell": cell,
        "seed": str(seed),
        "rule": config["rule"]["name"],
        "model": config["model"]["name"],
        "git.commit": start["git"]["commit"],
        "git.dirty": str(start["git"]["dirty"]).lower(),
        "data.fingerprint": start["fingerprint"],
    }
    return tags | {f"version.{name}": value for name, value in start["versions"].items()}


def rebuild(store: Path) -> int:
    """Write mlflow.db anew from logs and studies alone; the number of runs in it."""
    (store / "mlflow.db").unlink(missing_ok=True)
    shutil.rmtree(store / "artifacts", ignore_errors=True)
    logs = {run.key: run for run in read_all(store)}
    left = set(logs)
    written = 0
    for sheet in sorted((store / "studies").glob("*.json")):
        study = json.loads(sheet.read_text())
        written += _rebuild(
            store, study, [(logs[r["key"]], r["cell"], r["seed"]) for r in study["runs"] if r["key"] in logs]
        )
        left -= {run["key"] for run in study["runs"]}
    single = [
        (logs[key], logs[key].start["config"]["rule"]["name"], logs[key].start["config"]["seed"])
        for key in sorted(left)
    ]
    return written + (_rebuild(store, None, single) if single else 0)


def _rebuild(store: Path, study: dict[str, Any] | None, runs: list[tuple[RunLog, str, int]]) -> int:
    record = Record.open(store, study)
    for run, cell, seed in runs:
        record.update(run, cell, seed)
    record.close("recorded")
    return len(runs)


@contextmanager
def open_quietly(store: Path, study: dict[str, Any] | None) -> "Iterator[Quiet]":
    """A record whose failures are a line of warning: they never end a study, and the next start makes them good."""
    quiet = Quiet(None)
    quiet.record = quiet.attempt(lambda: Record.open(store, study))
    try:
        yield quiet
    finally:
        if quiet.record is not None:
            quiet.attempt(lambda: quiet.record.close("recorded") if quiet.record else None)


@dataclass
class Quiet:
    """A record that warns instead of failing."""

    record: Record | None

    def update(self, run: RunLog, cell: str, seed: int) -> None:
        """See Record.update."""
        record = self.record
        if record is not None:
            self.attempt(lambda: record.update(run, cell, seed))

    def attempt(self, act: Callable[[], Any]) -> Any:
        """Do it; a failure of MLflow, its database or the disk is one line of warning."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return act()
        except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
            line = str(error).splitlines()[0]
            print(f"nowt: not recorded in MLflow ({line}); nowt rebuild makes it good", file=sys.stderr)
            return None


def database(store: Path) -> str:
    """MLflow's address of the store's record."""
    return f"sqlite:///{(store / 'mlflow.db').resolve()}"


def _client(store: Path) -> Any:
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    store.mkdir(parents=True, exist_ok=True)
    # asked first, since MLflow tries a database that cannot be opened for minutes
    with closing(sqlite3.connect(store / "mlflow.db")) as connection:
        connection.execute("pragma schema_version")
    return mlflow.MlflowClient(tracking_uri=database(store))


def _experiment(client: Any, store: Path, study: dict[str, Any]) -> str:
    found = client.get_experiment_by_name(study["key"])
    if found is not None:
        return str(found.experiment_id)
    place = (store / "artifacts" / study["key"]).resolve().as_uri()
    tags = {"mlflow.note.content": study["question"]}
    return str(client.create_experiment(study["key"], artifact_location=place, tags=tags))


def _runs(client: Any, experiment: str) -> list[Any]:
    found, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
