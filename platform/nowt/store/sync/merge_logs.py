"""Merges the logs of two stores by run key, and detects logs that contradict each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nowt.core.errors import ConfigError
from nowt.store.files import write_atomically
from nowt.store.jsonl import complete_part
from nowt.store.layout import Store
from nowt.store.locks import LogInUse, LogLock
from nowt.store.records import FINAL_STATES, RunLog, epoch_to_json
from nowt.store.run_log import read

MACHINE_FIELDS = ("seconds", "probe_seconds")  # these differ between machines for the same run


@dataclass(frozen=True)
class IncomingLog:
    """A log to copy from one store to another."""

    source: Path
    target: Path

    @property
    def new(self) -> bool:
        """Whether the target store has no log of the run yet."""
        return not self.target.exists()

    @property
    def grows(self) -> bool:
        """Whether it extends the log in the target store."""
        return not self.new and complete_part(self.source).startswith(complete_part(self.target))


def incoming_logs(other: Path, store: Path) -> list[IncomingLog]:
    """Return the logs in ``other`` that ``store`` lacks, or that have a result or more epochs there.

    Raises ConfigError if an epoch of a run differs between the stores, ValueError for a file that is not a log.
    """
    found = []
    for source in Store(other).log_files():
        theirs, target = read(source), Store(store).logs / source.name
        if not theirs.start:
            continue  # a crash left not even the first line complete
        if target.exists():
            ours = read(target)
            _check_agree(ours, theirs, store, other)
            if _reach(theirs) <= _reach(ours):
                continue
        found.append(IncomingLog(source, target))
    return found


def _reach(run: RunLog) -> tuple[bool, int, bool]:
    return run.state in FINAL_STATES, run.last_epoch, run.state != "running"


def _check_agree(ours: RunLog, theirs: RunLog, store: Path, other: Path) -> None:
    known = {epoch.epoch: _measured(epoch_to_json(epoch)) for epoch in ours.epochs}
    for epoch in theirs.epochs:
        measured = _measured(epoch_to_json(epoch))
        if known.get(epoch.epoch, measured) != measured:
            where = next(name for name in measured if measured[name] != known[epoch.epoch][name])
            raise ConfigError(
                f"run {ours.key}: epoch {epoch.epoch} differs between {other} and {store} (field {where}). Nothing was "
                f"merged. Remove the wrong log file, logs/{ours.key}.jsonl, and merge again."
            )


def _measured(epoch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in epoch.items() if name not in MACHINE_FIELDS}


def write_logs(coming: Sequence[IncomingLog]) -> None:
    """Write the logs, each atomically. Raises ConfigError for the log of a run in progress."""
    for log in coming:
        try:
            lock = LogLock(log.target) if log.target.exists() else None
        except LogInUse:
            raise ConfigError(
                f"run {log.target.stem} is in progress: wait for it, or stop it, and merge again"
            ) from None
        write_atomically(log.target, complete_part(log.source), durable=True)
        del lock


def copy_checkpoints(other: Path, store: Path) -> list[str]:
    """Copy later checkpoints of runs without a result from ``other`` to ``store``. Return the keys of the runs."""
    copied = []
    for folder in sorted(Store(other).all_checkpoints.glob("*")):
        log, target = Store(store).log(folder.name), Store(store).checkpoints(folder.name)
        if not log.exists() or read(log).state in FINAL_STATES:
            continue
        newest = max((path.name for path in target.glob("step-*.pt")), default="")
        later = [path for path in sorted(folder.glob("step-*.pt")) if path.name > newest]
        for path in later:
            write_atomically(target / path.name, path.read_bytes(), durable=True)
        copied += [folder.name] if later else []
    return copied
