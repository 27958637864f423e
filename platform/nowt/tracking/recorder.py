"""Writes pages and numbers into MLflow, only what it does not have yet."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from nowt.store.layout import Store
from nowt.store.records import Epoch, RunLog
from nowt.store.run_log import read, read_all
from nowt.store.study_file import StudyFile, read_study_files
from nowt.tracking.database import connect, connect_to
from nowt.tracking.outbox import SINGLE, Outbox
from nowt.tracking.projection import STATUS, Page, Tally, numbers, run_end, run_page, study_page
from nowt.tracking.report_artifacts import attach, keep_reports
from nowt.tracking.sources import certificate_of, listed_runs, single_runs, study_runs

SINGLE_NOTE = "Runs of `nowt train` that no study lists."

EPOCHS_A_BATCH = 30  # whole epochs, and no more numbers than the 1,000 that MLflow takes at a time

LOG_BYTES = "log.bytes"

MOST_RUNS = 50_000  # that MLflow returns from one search


@dataclass
class Row:
    """What MLflow holds of one page."""

    run_id: str
    tags: dict[str, str]
    ended: tuple[str, int] | None = None  # status and end time
    last_epoch: int | None = None  # the last that was sent; None: not looked up yet


@dataclass
class Recorder:
    """The experiment of one study, or (study None) of the runs that no study lists.

    A run that another study, or ``nowt train``, takes further meanwhile is brought up to date at the next
    opening.
    """

    client: MlflowClient
    store: Path
    study: StudyFile | None
    experiment: str  # MLflow's id
    elsewhere: set[str]  # keys of runs that are shown in another experiment
    rows: dict[str, Row] = field(default_factory=dict)  # by run or study key
    tally: Tally = field(default_factory=Tally)
    delivered: Outbox | None = None  # the notes on the server that this is the record of

    @classmethod
    def open(cls, store: Path, study: StudyFile | None, to: str = "") -> "Recorder":
        """Open the experiment of a study, or (``study`` None) of the single runs, and bring it up to date: in the
        store's own database or, given its URL, on a server.

        Raises ValueError for a log or study file that cannot be read and for a file that is no database, OSError
        where the store cannot be written, and the errors of MLflow and SQLAlchemy.
        """
        if not to:
            return cls.on(connect(Store(store).mlflow_db), store, study)
        delivered = Outbox.to(store, to)
        delivered.expect(study.key if study else SINGLE)
        return cls.on(connect_to(to), store, study, delivered)

    @classmethod
    def on(
        cls, client: MlflowClient, store: Path, study: StudyFile | None, delivered: Outbox | None = None
    ) -> "Recorder":
        """As ``open``, through ``client``."""
        record = cls(client, store, study, _experiment(client, store, study, delivered), set(), delivered=delivered)
        record.rows = _rows(client, record.experiment)
        if study is None:
            record.elsewhere = listed_runs(store)
        else:
            _take_from_single(client, study)
        record._catch_up()
        return record

    def update(self, run: RunLog, cell: str, seed: int) -> None:
        """Bring one run up to date. A run whose log has no start line yet is only counted by its study.

        ``cell`` is the first of the cells that share the run; a single run has none.
        """
        if self._bring(run, cell, seed) and self.study:
            self._show_study(self.study)

    def _bring(self, run: RunLog, cell: str, seed: int) -> bool:
        """See ``update``, the study's own page aside; whether that has to change."""
        if run.key in self.elsewhere:
            return False
        news = self.tally.hear(run.key, run.state, run_end(run))
        if run.start:
            page = run_page(run, self.study, cell, seed)
            row = self._row(page)
            if "state" not in row.tags:  # the last thing that a new page gets
                self._describe(row, page, run)
            self._send(row, run)
            self._show(row, replace(page, tags=page.tags | {LOG_BYTES: self._bytes(run)}))
            if self.delivered:
                self.delivered.note(run)
        return news

    def _catch_up(self) -> None:
        """Read the logs that have changed since they were last shown."""
        if self.study:
            self._show_study(self.study)
        for path, cell in study_runs(self.store, self.study) if self.study else single_runs(self.store):
            row = self.rows.get(path.stem)
            if row and row.ended and row.tags.get(LOG_BYTES) == str(path.stat().st_size):
                self.tally.hear(path.stem, row.tags["state"], row.ended[1])
                if self.delivered and not self.delivered.known(path.stem):
                    self.delivered.note(read(path))
            else:
                self._read(path, cell)
        if self.study:
            self._show_study(self.study)

    def _read(self, path: Path, cell: str) -> None:
        """Bring a run up to date from its log; again where another process wrote to it meanwhile and may have shown
        more already."""
        size = -1
        while size != path.stat().st_size:
            size = path.stat().st_size
            if (run := read(path)).start or self.study:
                self._bring(run, cell, run.start["config"]["seed"] if run.start else 0)

    def _bytes(self, run: RunLog) -> str:
        """The size of a log that has an end; by it the next opening knows that there is nothing to read."""
        return "" if run.state == "running" else str(Store(self.store).log(run.key).stat().st_size)

    def _show_study(self, study: StudyFile) -> None:
        page = study_page(study, self.tally)
        self._show(self._row(page), page)

    def _row(self, page: Page) -> Row:
        if page.key not in self.rows:
            with self._making():
                self.rows[page.key] = self._made_elsewhere(page) or self._make(page)
        return self.rows[page.key]

    @contextmanager
    def _making(self) -> Iterator[None]:
        """Hold the right to make a page: the other processes of this store send to the same server."""
        if self.delivered is None:
            yield
        else:
            with self.delivered.alone("page"):
                yield

    def _made_elsewhere(self, page: Page) -> Row | None:
        """The page that another process made since this one looked."""
        if self.delivered is None:
            return None
        return _rows(self.client, self.experiment, f"tags.`nowt.key` = '{page.key}'").get(page.key)

    def _make(self, page: Page) -> Row:
        tags = {"nowt.key": page.key}
        if self.study and page.key != self.study.key:
            tags["mlflow.parentRunId"] = self.rows[self.study.key].run_id
        made = self.client.create_run(self.experiment, page.start, tags, page.name)
        return Row(made.info.run_id, tags, last_epoch=-1)

    def _describe(self, row: Row, page: Page, run: RunLog) -> None:
        self.client.log_batch(row.run_id, params=[Param(*item) for item in page.params.items()])
        config = json.dumps(run.start["config"], indent=2, ensure_ascii=False)
        self.client.log_text(row.run_id, config + "\n", "config.json")
        certificate = certificate_of(self.store, run)
        if certificate:
            self.client.log_text(row.run_id, certificate, "certificate.json")

    def _send(self, row: Row, run: RunLog) -> None:
        sent = self._last_epoch(row)
        new = [pair for pair in zip(run.epochs, run.times, strict=True) if pair[0].epoch > sent]
        for first in range(0, len(new), EPOCHS_A_BATCH):
            batch = new[first : first + EPOCHS_A_BATCH]
            self.client.log_batch(row.run_id, metrics=[m for epoch, time in batch for m in _metrics(epoch, time)])
            row.last_epoch = batch[-1][0].epoch

    def _last_epoch(self, row: Row) -> int:
        if row.last_epoch is None:
            # every epoch has this number, and MLflow takes a batch whole or not at all
            history = self.client.get_metric_history(row.run_id, "presentations")
            row.last_epoch = max((metric.step for metric in history), default=-1)
        return row.last_epoch

    def _show(self, row: Row, page: Page) -> None:
        ended = page.end and (STATUS[page.state], page.end)
        if ended and ended != row.ended:
            self.client.set_terminated(row.run_id, *ended)
            row.ended = ended
        new = {name: text for name, text in page.tags.items() if row.tags.get(name, "") != text}
        for name in [name for name, text in new.items() if not text]:
            self.client.delete_tag(row.run_id, name)
        self.client.log_batch(row.run_id, tags=[RunTag(*item) for item in new.items() if item[1]])
        row.tags |= new


def rebuild(store: Path) -> int:
    """Write ``mlflow.db`` and the artifacts anew from logs, study files and certificates; reports are kept.

    Returns the number of runs in it. The old database stays until the new one is whole. Raises ValueError
    for a missing store, and for a log or study file that cannot be read.
    """
    if not store.is_dir():
        raise ValueError(f"there is no store at {store}: name the folder that nowt ablate wrote (--store)")
    studies: list[StudyFile | None] = [*read_study_files(store)]
    logged = {run.key for run in read_all(store)}  # each can be read: nothing is taken away for nothing
    if logged - {run.key for study_file in studies if study_file for run in study_file.runs}:
        studies.append(None)
    with TemporaryDirectory(prefix=".mlflow-", dir=store) as folder:
        database = Path(folder) / "mlflow.db"
        client = connect(database)
        reports = keep_reports(store, Path(folder))
        shutil.rmtree(Store(store).artifacts, ignore_errors=True)
        records = [Recorder.on(client, store, study) for study in studies]
        for key, files in reports.items():
            attach(client, key, files)
        database.replace(Store(store).mlflow_db)
    return sum(len(record.rows) - (record.study is not None) for record in records)


def _metrics(epoch: Epoch, time: int) -> list[Metric]:
    return [Metric(name, value, time, epoch.epoch) for name, value in numbers(epoch).items()]


def _experiment(client: MlflowClient, store: Path, study: StudyFile | None, served: Outbox | None) -> str:
    name, note = (study.key, study.question) if study else (SINGLE, SINGLE_NOTE)
    found = client.get_experiment_by_name(name)
    if found is None:
        # a server keeps the files itself
        place = None if served else (Store(store).artifacts / name).resolve().as_uri()
        return str(client.create_experiment(name, place, {"mlflow.note.content": note}))
    if found.lifecycle_stage == "deleted":  # on MLflow's page; its name cannot be used again
        client.restore_experiment(found.experiment_id)
    if found.tags.get("mlflow.note.content") != note:
        client.set_experiment_tag(found.experiment_id, "mlflow.note.content", note)
    return str(found.experiment_id)


def _search(client: MlflowClient, experiment: str, only: str = "") -> list[Run]:
    found = client.search_runs([experiment], only, max_results=MOST_RUNS)
    return [run for run in found if "nowt.key" in run.data.tags]


def _rows(client: MlflowClient, experiment: str, only: str = "") -> dict[str, Row]:
    """What MLflow holds, by run or study key.

    Where it has two pages of one run (two stores sent it at once, or a server made a page and died before it could say
    so), everybody keeps the one of the lowest id; the other is deleted, and whoever was writing to it finds this one.
    """
    rows: dict[str, Row] = {}
    for run in sorted(_search(client, experiment, only), key=lambda run: str(run.info.run_id)):
        if run.data.tags["nowt.key"] in rows:
            client.delete_run(run.info.run_id)
        else:
            rows[run.data.tags["nowt.key"]] = _row(run)
    return rows


def _row(run: Run) -> Row:
    ended = (run.info.status, run.info.end_time) if run.info.end_time else None
    return Row(run.info.run_id, dict(run.data.tags), ended)


def _take_from_single(client: MlflowClient, study: StudyFile) -> None:
    """Delete from the single runs those that the study lists now."""
    found = client.get_experiment_by_name(SINGLE)
    listed = {run.key for run in study.runs}
    for run in _search(client, found.experiment_id) if found else []:
        if run.data.tags["nowt.key"] in listed:
            client.delete_run(run.info.run_id)
