"""Writes runs and their metrics to MLflow, omitting those that it already has."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from nowt.store.layout import Store
from nowt.store.records import Epoch, RunLog
from nowt.store.run_log import read
from nowt.store.study_file import StudyFile, study_files_named
from nowt.store.superseded_runs import superseded_runs
from nowt.tracking.database import connect, connect_to
from nowt.tracking.outbox import SINGLE, Outbox
from nowt.tracking.projection import (
    STATUS,
    SUPERSEDED_TAG,
    MlflowRun,
    StudyCounts,
    describe_run,
    describe_study,
    end_of,
    metrics_of,
)
from nowt.tracking.sources import certificate_of, listed_runs, single_runs, study_runs
from nowt.tracking.stored_runs import StoredRun, check_place, search, stored_run, stored_runs

SINGLE_NOTE = "Runs of `nowt train` that no study lists."

EPOCHS_PER_BATCH = 30  # complete epochs, and at most the 1,000 metrics that MLflow accepts per request

LOG_BYTES = "log.bytes"


@dataclass
class Recorder:
    """The MLflow experiment of one study, or (``study`` None) of the runs that no study lists.

    If another study or ``nowt train`` continues a run meanwhile, the run is updated the next time the experiment is
    opened.
    """

    client: MlflowClient
    store: Path
    study: StudyFile | None
    experiment: str  # MLflow's id
    elsewhere: set[str]  # keys of runs that are shown in another experiment
    superseded: dict[str, str] = field(default_factory=dict)  # runs that no longer count, and those in their place
    rows: dict[str, StoredRun] = field(default_factory=dict)  # by run or study key
    progress: StudyCounts = field(default_factory=StudyCounts)
    outbox: Outbox | None = None  # if the experiment is on a server

    @classmethod
    def open(cls, store: Path, study: StudyFile | None, url: str = "") -> "Recorder":
        """Open the experiment of a study, or (``study`` None) of the single runs, and bring it up to date: in the
        store's own database or, given its URL, on a server.

        Raises ValueError for an unreadable log or study file and for a file that is not a database, OSError if the
        store is not writable, and the errors of MLflow and SQLAlchemy.
        """
        if not url:
            return cls.for_client(connect(Store(store).mlflow_db), store, study)
        outbox = Outbox.for_server(store, url)
        outbox.add_study(study.key if study else SINGLE)
        return cls.for_client(connect_to(url), store, study, outbox)

    @classmethod
    def for_client(
        cls, client: MlflowClient, store: Path, study: StudyFile | None, outbox: Outbox | None = None
    ) -> "Recorder":
        """Open the experiment with ``client``, as ``open`` does."""
        recorder = cls(client, store, study, _experiment(client, store, study, outbox), set(), outbox=outbox)
        recorder.rows = stored_runs(client, recorder.experiment)
        if study is None:
            recorder.elsewhere = listed_runs(store)
        else:
            _take_from_single(client, study)
            by_study = superseded_runs(study_files_named(store, study.name))
            recorder.superseded = by_study.pop(study.key, {})
            recorder._mark_in_others(by_study)
        recorder._catch_up()
        return recorder

    def update(self, run: RunLog, cell: str, seed: int) -> None:
        """Bring one run up to date. A run without a start line in its log only counts towards its study's progress.

        ``cell`` is the first of the cells that share the run; it is empty for a single run.
        """
        if self._update_run(run, cell, seed) and self.study:
            self._show_study(self.study)

    def _update_run(self, run: RunLog, cell: str, seed: int) -> bool:
        """Bring one run up to date. Return whether the study's own entry has to change."""
        if run.key in self.elsewhere:
            return False
        successor = self.superseded.get(run.key, "")
        changed = not successor and self.progress.update(run.key, run.state, end_of(run))
        if run.start:
            wanted = describe_run(run, self.study, cell, seed, successor)
            stored = self._stored(wanted)
            if "state" not in stored.tags:  # the last tag that a new run gets
                self._describe(stored, wanted, run)
            self._send(stored, run)
            self._show(stored, replace(wanted, tags=wanted.tags | {LOG_BYTES: self._bytes(run)}))
            if self.outbox:
                self.outbox.mark_delivered(run)
        return changed

    def _catch_up(self) -> None:
        """Send the logs that have changed since they were last sent."""
        if self.study:
            self._show_study(self.study)
        for path, cell in study_runs(self.store, self.study) if self.study else single_runs(self.store):
            stored = self.rows.get(path.stem)
            if stored and stored.ended and stored.tags.get(LOG_BYTES) == str(path.stat().st_size):
                successor = self.superseded.get(path.stem, "")
                stored.mark(self.client, successor)
                if not successor:
                    self.progress.update(path.stem, stored.tags["state"], stored.ended[1])
                if self.outbox and not self.outbox.has_record(path.stem):
                    self.outbox.mark_delivered(read(path))
            else:
                self._read(path, cell)
        if self.study:
            self._show_study(self.study)

    def _read(self, path: Path, cell: str) -> None:
        """Bring a run up to date from its log; again if the log grew meanwhile, since another process may already have
        sent more."""
        size = -1
        while size != path.stat().st_size:
            size = path.stat().st_size
            if (run := read(path)).start or self.study:
                self._update_run(run, cell, run.start["config"]["seed"] if run.start else 0)

    def _bytes(self, run: RunLog) -> str:
        """Return the size of the log of an ended run, by which the next opening skips unchanged logs."""
        return "" if run.state == "running" else str(Store(self.store).log(run.key).stat().st_size)

    def _show_study(self, study: StudyFile) -> None:
        wanted = describe_study(study, self.progress, self.superseded)
        self._show(self._stored(wanted), wanted)

    def _stored(self, wanted: MlflowRun) -> StoredRun:
        if wanted.key not in self.rows:
            with self._creating():
                self.rows[wanted.key] = self._created_elsewhere(wanted) or self._create(wanted)
        return self.rows[wanted.key]

    @contextmanager
    def _creating(self) -> Iterator[None]:
        """Lock the creation of runs, since the other processes of this store send to the same server."""
        if self.outbox is None:
            yield
        else:
            with self.outbox.lock("page"):
                yield

    def _created_elsewhere(self, wanted: MlflowRun) -> StoredRun | None:
        """Return the run if another process has created it since this process looked."""
        if self.outbox is None:
            return None
        return stored_runs(self.client, self.experiment, f"tags.`nowt.key` = '{wanted.key}'").get(wanted.key)

    def _create(self, wanted: MlflowRun) -> StoredRun:
        tags = {"nowt.key": wanted.key}
        if self.study and wanted.key != self.study.key:
            tags["mlflow.parentRunId"] = self.rows[self.study.key].run_id
        made = self.client.create_run(self.experiment, wanted.start, tags, wanted.name)
        return StoredRun(made.info.run_id, tags, last_epoch=-1, place=made.info.artifact_uri)

    def _describe(self, stored: StoredRun, wanted: MlflowRun, run: RunLog) -> None:
        check_place(stored.place, None if self.outbox else Store(self.store).artifacts)
        self.client.log_batch(stored.run_id, params=[Param(*item) for item in wanted.params.items()])
        config = json.dumps(run.start["config"], indent=2, ensure_ascii=False, allow_nan=False)
        self.client.log_text(stored.run_id, config + "\n", "config.json")
        certificate = certificate_of(self.store, run)
        if certificate:
            self.client.log_text(stored.run_id, certificate, "certificate.json")

    def _send(self, stored: StoredRun, run: RunLog) -> None:
        sent = self._last_epoch(stored)
        if run.state != "running" and run.last_epoch > sent:
            run = read(Store(self.store).log(run.key))  # the scheduler keeps no layers of ended runs
        new = [pair for pair in zip(run.epochs, run.times, strict=True) if pair[0].epoch > sent]
        for first in range(0, len(new), EPOCHS_PER_BATCH):
            batch = new[first : first + EPOCHS_PER_BATCH]
            self.client.log_batch(stored.run_id, metrics=[m for epoch, time in batch for m in _metrics(epoch, time)])
            stored.last_epoch = batch[-1][0].epoch

    def _last_epoch(self, stored: StoredRun) -> int:
        if stored.last_epoch is None:
            # every epoch has this metric, and MLflow accepts a batch completely or not at all
            history = self.client.get_metric_history(stored.run_id, "presentations")
            stored.last_epoch = max((metric.step for metric in history), default=-1)
        return stored.last_epoch

    def _mark_in_others(self, by_study: Mapping[str, Mapping[str, str]]) -> None:
        """Mark the superseded runs in the experiments of other studies; those of this study may have taken their
        place."""
        for key, superseded in by_study.items():
            experiment = self.client.get_experiment_by_name(key) if superseded else None
            for run in search(self.client, experiment.experiment_id) if experiment else []:
                if successor := superseded.get(run.data.tags["nowt.key"]):
                    stored_run(run).mark(self.client, successor)

    def _show(self, stored: StoredRun, wanted: MlflowRun) -> None:
        ended = wanted.end and (STATUS[wanted.state], wanted.end)
        if ended and ended != stored.ended:
            self.client.set_terminated(stored.run_id, *ended)
            stored.ended = ended
        stored.rename(self.client, bool(wanted.tags.get(SUPERSEDED_TAG)))
        stored.set_tags(self.client, wanted.tags)


def _metrics(epoch: Epoch, time: int) -> list[Metric]:
    return [Metric(name, value, time, epoch.epoch) for name, value in metrics_of(epoch).items()]


def _experiment(client: MlflowClient, store: Path, study: StudyFile | None, outbox: Outbox | None) -> str:
    name, note = (study.key, study.question) if study else (SINGLE, SINGLE_NOTE)
    found = client.get_experiment_by_name(name)
    if found is None:
        # a server stores the files itself
        place = None if outbox else (Store(store).artifacts / name).resolve().as_uri()
        return str(client.create_experiment(name, place, {"mlflow.note.content": note}))
    if found.lifecycle_stage == "deleted":  # on MLflow's web page; its name cannot be used again
        client.restore_experiment(found.experiment_id)
    if found.tags.get("mlflow.note.content") != note:
        client.set_experiment_tag(found.experiment_id, "mlflow.note.content", note)
    return str(found.experiment_id)


def _take_from_single(client: MlflowClient, study: StudyFile) -> None:
    """Delete those single runs that the study now lists."""
    found = client.get_experiment_by_name(SINGLE)
    listed = {run.key for run in study.runs}
    for run in search(client, found.experiment_id) if found else []:
        if run.data.tags["nowt.key"] in listed:
            client.delete_run(run.info.run_id)
