"""What a record keeper has of a store's runs, as far as it was heard of: ``STORE/delivered/SERVER/``.

It answers ``nowt runs`` without asking anybody. Before anything is sent the server itself is asked what it has, so that
a note that is lost, or was not written when a process died, costs nothing.
"""

import fcntl
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nowt.store.files import write_atomically
from nowt.store.layout import Store
from nowt.store.records import RunLog
from nowt.store.study_file import read_study_files

SINGLE = "single runs"


@dataclass(frozen=True)
class Waiting:
    """What of a store's runs a server does not have yet."""

    url: str
    runs: int
    epochs: int

    def __str__(self) -> str:
        runs = f"{self.runs} run{'s wait' if self.runs > 1 else ' waits'}"
        epochs = f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}"
        return f"{runs} for {self.url}, {epochs} in all: nowt deliver --to {self.url} sends them"


@dataclass(frozen=True)
class Outbox:
    """The notes on one server. A run's note is its last epoch and its state there."""

    folder: Path

    @classmethod
    def to(cls, store: Path, url: str) -> "Outbox":
        """The notes on the server at ``url``, begun where there are none."""
        folder = Store(store).outboxes / re.sub(r"[^A-Za-z0-9.-]+", "_", url)
        (folder / "runs").mkdir(parents=True, exist_ok=True)
        (folder / "studies").mkdir(exist_ok=True)
        (folder / "url").write_text(f"{url}\n", encoding="utf-8")
        return cls(folder)

    def expect(self, study: str) -> None:
        """The study's runs (or SINGLE) are meant for the server."""
        (self.folder / "studies" / study).touch()

    def note(self, run: RunLog) -> None:
        """The server has all that ``run`` says."""
        write_atomically(self.folder / "runs" / run.key, f"{run.last_epoch} {run.state}", durable=False)

    def known(self, key: str) -> bool:
        """Whether there is a note on the run."""
        return (self.folder / "runs" / key).exists()

    def waiting(self, run: RunLog) -> int | None:
        """How many of the run's epochs the server does not have; None where nothing waits, not even its end."""
        note = self.folder / "runs" / run.key
        epoch, _, state = note.read_text(encoding="utf-8").partition(" ") if note.exists() else ("-1", "", "")
        left = sum(known.epoch > int(epoch) for known in run.epochs)
        return left if left or state != run.state else None

    @contextmanager
    def alone(self, name: str, wait: bool = True) -> Iterator[bool]:
        """Hold ``name`` against other processes that deliver to this server; whether it is held."""
        with (self.folder / f"{name}.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    def studies(self) -> set[str]:
        """The studies whose runs are meant for the server."""
        return {path.name for path in (self.folder / "studies").iterdir()}


def all_waiting(store: Path, runs: Iterable[RunLog]) -> list[Waiting]:
    """What of ``runs`` waits, server by server; only servers for which something does."""
    found = []
    runs = list(runs)
    for folder in sorted(Store(store).outboxes.glob("*")):
        delivered = Outbox(folder)
        meant = _meant(store, delivered.studies())
        left = [n for run in runs if meant(run.key) and (n := delivered.waiting(run)) is not None]
        if left:
            found.append(Waiting((folder / "url").read_text(encoding="utf-8").strip(), len(left), sum(left)))
    return found


def _meant(store: Path, studies: set[str]) -> Callable[[str], bool]:
    """Which runs belong to ``studies``: those that their files list and, with SINGLE, those that no file lists."""
    study_files = read_study_files(store)
    listed = {run.key for study_file in study_files for run in study_file.runs}
    chosen = {run.key for study_file in study_files if study_file.key in studies for run in study_file.runs}
    return lambda key: key in chosen or (SINGLE in studies and key not in listed)
