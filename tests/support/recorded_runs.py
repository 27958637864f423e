"""Runs whose epochs are recorded on a tracking server while they are written."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from nowt.store.run_log import LogWriter
from nowt.store.study_file import StudyFile
from nowt.tracking.background import BackgroundRecorder
from tests.support.mlflow_contents import epoch, start, study_file_of
from tests.support.synthetic_store import key_of, rules_study, write_store


@contextmanager
def recording(store: Path, study: StudyFile | None, url: str) -> Iterator[BackgroundRecorder]:
    """As record_in_background, for any URL."""
    record = BackgroundRecorder(store, study, url)
    writer = Thread(target=record.write)
    writer.start()
    try:
        yield record
    finally:
        record.close()
        writer.join()


def write_epochs(writer: LogWriter, record: BackgroundRecorder, first: int, last: int) -> None:
    """Write the epochs from ``first`` to before ``last``, 100 per second."""
    for number in range(first, last):
        writer.epoch(epoch(number))
        record.update(writer.run, "bp", 0)
        time.sleep(0.01)


@dataclass
class EightRuns:
    """Four runs of a study and four single runs, written and recorded at the same time."""

    writers: dict[str, LogWriter]
    recorders: dict[str, BackgroundRecorder]  # those of a study share one

    def write(self, first: int, last: int) -> None:
        """Write epochs to all runs at once."""
        runs = [(writer, self.recorders[key], first, last) for key, writer in self.writers.items()]
        threads = [Thread(target=write_epochs, args=run) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def finish(self) -> None:
        """End all runs."""
        for key, writer in self.writers.items():
            writer.end("finished")
            self.recorders[key].update(writer.run, "bp", 0)


@contextmanager
def eight_runs(store: Path, url: str) -> Iterator[EightRuns]:
    """The runs, recorded until the end of the block."""
    names = ["bp", "fa", "ss", "kp"]
    study = write_store(store, rules_study("eight", names, 1, 60), missing=[(name, 0) for name in names])
    studied, single = [key_of(study, name, 0) for name in names], [f"00000000000{digit}" for digit in range(4)]
    writers = {key: start(store, key) for key in [*studied, *single]}
    with ExitStack() as stack:
        recorders = {key: stack.enter_context(recording(store, None, url)) for key in single}
        shared = stack.enter_context(recording(store, study_file_of(store, study.key), url))
        yield EightRuns(writers, {**recorders, **dict.fromkeys(studied, shared)})
