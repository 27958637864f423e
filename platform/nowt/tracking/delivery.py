"""``nowt deliver``: what a record keeper does not have yet of a store's runs, from their logs."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

from nowt.store.run_log import read_all
from nowt.store.study_file import StudyFile, read_study_files
from nowt.tracking.background import FAILURES, reason_of
from nowt.tracking.outbox import SINGLE, Outbox
from nowt.tracking.recorder import Recorder


def deliver(store: Path, url: str, say: Callable[[str], None], *, only_waiting: bool = False) -> int:
    """Bring the record at ``url`` up to date; returns the number of runs that waited and now are there.

    With ``only_waiting`` the server is asked only about studies of which something waits, as far as the notes know.
    Raises ValueError for a missing store and for what cannot be read in it, OSError where the server is not reached.
    """
    if not store.is_dir():
        raise ValueError(f"there is no store at {store}: name the folder of the logs (--store)")
    delivered = Outbox.to(store, url)
    study_files = read_study_files(store)
    runs = {run.key: run for run in read_all(store)}
    waiting = {key for key, run in runs.items() if delivered.waiting(run) is not None}
    alone = runs.keys() - {run.key for study_file in study_files for run in study_file.runs}
    for study_file in study_files:
        if not only_waiting or waiting & {run.key for run in study_file.runs}:
            _send(store, url, delivered, study_file, say)
    if alone & waiting if only_waiting else alone:
        _send(store, url, delivered, None, say)
    return sum(delivered.waiting(runs[key]) is None for key in waiting)


def _send(store: Path, url: str, delivered: Outbox, study_file: StudyFile | None, say: Callable[[str], None]) -> None:
    name = study_file.key if study_file else SINGLE
    with delivered.alone(name, wait=False) as mine:
        if not mine:
            say(f"{name}: another process, which runs it or delivers, is at it")
            return
        try:
            Recorder.open(store, study_file, url)
        except FAILURES as error:
            raise OSError(f"{name} was not delivered to {url}: {reason_of(error)}") from error


def follow(store: Path, url: str, say: Callable[[str], None], seconds: float, end: Event) -> None:
    """Deliver what is there and, every so many seconds, what has come, until ``end``. What goes wrong is said once."""
    said, only_waiting = "", False
    while not end.is_set():
        try:
            deliver(store, url, lambda _: None, only_waiting=only_waiting)
            said, only_waiting = "", True
        except (OSError, ValueError) as error:
            if str(error) != said and not end.is_set():
                said = str(error)
                say(f"{said}; it is tried again every {seconds:g} s")
        end.wait(seconds)
