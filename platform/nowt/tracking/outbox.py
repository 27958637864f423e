"""Local record of which epochs each tracking server has received, in ``STORE/delivered/SERVER/``.

``nowt runs`` reads it instead of asking the server. Before anything is sent, the server is asked which epochs it has,
so a missing or outdated record does no harm.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nowt.core.formatting import counted
from nowt.store.files import write_atomically
from nowt.store.layout import Store
from nowt.store.locks import lock_file
from nowt.store.records import RunLog
from nowt.store.study_file import read_study_files

SINGLE = "single runs"


@dataclass(frozen=True)
class Undelivered:
    """The runs of a store that a server does not have yet."""

    url: str
    runs: int
    epochs: int

    def __str__(self) -> str:
        runs = f"{counted(self.runs, 'run')} {'is' if self.runs == 1 else 'are'}"
        epochs = counted(self.epochs, "epoch")
        return f"{runs} not yet delivered to {self.url} ({epochs}): nowt deliver --to {self.url}"


@dataclass(frozen=True)
class Outbox:
    """The local record for one server: for each run, the last epoch and the state that the server has received."""

    folder: Path

    @classmethod
    def for_server(cls, store: Path, url: str) -> "Outbox":
        """Return the record for the server at ``url``, created if there is none."""
        folder = Store(store).outboxes / re.sub(r"[^A-Za-z0-9.-]+", "_", url)
        (folder / "runs").mkdir(parents=True, exist_ok=True)
        (folder / "studies").mkdir(exist_ok=True)
        write_atomically(folder / "url", f"{url}\n", durable=False)
        return cls(folder)

    def add_study(self, study: str) -> None:
        """Record that the runs of ``study`` (or SINGLE) are to be delivered to the server."""
        (self.folder / "studies" / study).touch()

    def mark_delivered(self, run: RunLog) -> None:
        """Record that the server has received everything in ``run``."""
        write_atomically(self.folder / "runs" / run.key, f"{run.last_epoch} {run.state}", durable=False)

    def has_record(self, key: str) -> bool:
        """Return whether there is a record of the run."""
        return (self.folder / "runs" / key).exists()

    def undelivered_epochs(self, run: RunLog) -> int | None:
        """Return the number of the run's epochs that the server lacks; None if it also has the run's final state."""
        note = self.folder / "runs" / run.key
        epoch, _, state = note.read_text(encoding="utf-8").partition(" ") if note.exists() else ("-1", "", "")
        left = sum(known.epoch > int(epoch) for known in run.epochs)
        return left if left or state != run.state else None

    @contextmanager
    def lock(self, name: str, wait: bool = True) -> Iterator[bool]:
        """Lock ``name`` against other processes that deliver to this server. Yield whether it is locked."""
        with (self.folder / f"{name}.lock").open("a") as file:
            yield lock_file(file, wait=wait)

    def studies(self) -> set[str]:
        """Return the studies whose runs are to be delivered to the server."""
        return {path.name for path in (self.folder / "studies").iterdir()}


def undelivered(store: Path, runs: Iterable[RunLog]) -> list[Undelivered]:
    """Return the undelivered ``runs`` per server, for servers that have any."""
    found = []
    runs = list(runs)
    for folder in sorted(Store(store).outboxes.glob("*")):
        outbox = Outbox(folder)
        belongs = _belongs(store, outbox.studies())
        left = [n for run in runs if belongs(run.key) and (n := outbox.undelivered_epochs(run)) is not None]
        if left:
            found.append(Undelivered((folder / "url").read_text(encoding="utf-8").strip(), len(left), sum(left)))
    return found


def _belongs(store: Path, studies: set[str]) -> Callable[[str], bool]:
    """Return which runs belong to ``studies``: those that their files list and, with SINGLE, those that no file
    lists."""
    study_files = read_study_files(store)
    listed = {run.key for study_file in study_files for run in study_file.runs}
    chosen = {run.key for study_file in study_files if study_file.key in studies for run in study_file.runs}
    return lambda key: key in chosen or (SINGLE in studies and key not in listed)
