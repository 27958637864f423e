"""``nowt deliver``: uploads the runs of a store to a tracking server, from their logs."""

import traceback
from pathlib import Path
from threading import Event

from nowt.core.errors import AccessError, Echo
from nowt.store.existing import require_store
from nowt.store.run_log import read_all
from nowt.store.study_file import StudyFile, read_study_files
from nowt.tracking.background import FAILURES, reason_of
from nowt.tracking.outbox import SINGLE, Outbox
from nowt.tracking.recorder import Recorder


def deliver(store: Path, url: str, echo: Echo, *, only_waiting: bool = False) -> int:
    """Upload what the server at ``url`` lacks; return the number of runs uploaded.

    With ``only_waiting``, only studies with undelivered runs, according to the outbox, are sent. Raises ValueError for
    a missing store or an unreadable file in it, OSError if the server is not reached.
    """
    require_store(store)
    outbox = Outbox.for_server(store, url)
    study_files = read_study_files(store)
    runs = {run.key: run for run in read_all(store)}
    waiting = {key for key, run in runs.items() if outbox.undelivered_epochs(run) is not None}
    alone = runs.keys() - {run.key for study_file in study_files for run in study_file.runs}
    for study_file in study_files:
        if not only_waiting or waiting & {run.key for run in study_file.runs}:
            _send(store, url, outbox, study_file, echo)
    if alone & waiting if only_waiting else alone:
        _send(store, url, outbox, None, echo)
    return sum(outbox.undelivered_epochs(runs[key]) is None for key in waiting)


def _send(store: Path, url: str, outbox: Outbox, study_file: StudyFile | None, echo: Echo) -> None:
    name = study_file.key if study_file else SINGLE
    with outbox.lock(name, wait=False) as mine:
        if not mine:
            echo(f"{name}: another process is running or delivering it")
            return
        try:
            Recorder.open(store, study_file, url)
        except FAILURES as error:
            raise AccessError(f"{name} was not delivered to {url}: {reason_of(error)}") from error


def follow(store: Path, url: str, echo: Echo, seconds: float, end: Event) -> None:
    """Upload everything, then every ``seconds`` what is new, until ``end`` is set. Each problem is printed once."""
    problem, only_waiting = "", False
    while not end.is_set():
        try:
            deliver(store, url, lambda _: None, only_waiting=only_waiting)
            problem, only_waiting = "", True
        except (OSError, ValueError) as error:
            if str(error) != problem and not end.is_set():
                problem = str(error)
                echo(f"{problem}; retrying every {seconds:g} s")
        except Exception:  # a bug: the thread must not end silently
            if (trace := traceback.format_exc()) != problem and not end.is_set():
                problem = trace
                echo(f"{trace}delivery failed; retrying every {seconds:g} s")
        end.wait(seconds)
