"""Merges the logs of two stores by run key, and detects logs that contradict each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nowt.core.errors import ConfigError
from nowt.store.files import write_atomically
from nowt.store.jsonl import complete_part
from nowt.store.layout import Store
from nowt.store.locks import LogInUse, LogLock, describe_holder, is_locked
from nowt.store.records import FINAL_STATES, RunLog, epoch_to_json
from nowt.store.run_log import read
from nowt.store.sync.foreign import checkpoint_folders

MACHINE_FIELDS = ("seconds", "probe_seconds")  # these differ between machines for the same run


@dataclass(frozen=True)
class IncomingLog:
    """A log to copy from one store to another."""

    source: Path
    target: Path
    new: bool  # whether the target store has no log of the run yet
    grows: bool  # whether it extends the log in the target store


def incoming_logs(other: Path, store: Path) -> list[IncomingLog]:
    """Return the logs in ``other`` that ``store`` lacks, or that have a result or more epochs there.

    Raises ConfigError if an epoch of a run differs between the stores or one of these runs is in progress, ValueError
    for a file that is not a log.
    """
    found = []
    for source in Store(other).log_files():
        if (log := _incoming(source, Store(store).logs / source.name)) is not None:
            if log.target.exists() and is_locked(log.target):
                raise _in_progress(log)
            found.append(log)
    return found


def _incoming(source: Path, target: Path) -> IncomingLog | None:
    """Return the log to copy; None if the target store has as much of it. Raises as ``incoming_logs`` does."""
    theirs = read(source)
    if not theirs.start:
        return None  # a crash left not even the first line complete
    ours = read(target) if target.exists() else None
    if ours is None or not ours.start:
        return IncomingLog(source, target, new=True, grows=False)
    _check_agree(ours, theirs, target, source)
    if _reach(theirs) <= _reach(ours):
        return None
    return IncomingLog(source, target, new=False, grows=complete_part(source).startswith(complete_part(target)))


def _in_progress(log: IncomingLog) -> ConfigError:
    holder = describe_holder(log.target)
    return ConfigError(f"run {log.target.stem} is in progress in {holder}: wait for it, or stop it, and merge again")


def _reach(run: RunLog) -> tuple[bool, int, bool]:
    return run.state in FINAL_STATES, run.last_epoch, run.state != "running"


def _check_agree(ours: RunLog, theirs: RunLog, target: Path, source: Path) -> None:
    known = {epoch.epoch: _measured(epoch_to_json(epoch)) for epoch in ours.epochs}
    for epoch in theirs.epochs:
        measured = _measured(epoch_to_json(epoch))
        ours_too = known.get(epoch.epoch, measured)  # logs of earlier versions lack some fields
        if where := next((name for name in measured if measured[name] != ours_too.get(name, measured[name])), None):
            raise ConfigError(
                f"run {ours.key}: epoch {epoch.epoch} differs between {_store(source)} and {_store(target)} "
                f"(field {where}). Nothing was merged. Remove the wrong log file, logs/{ours.key}.jsonl, and merge "
                "again."
            )


def _measured(epoch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in epoch.items() if name not in MACHINE_FIELDS}


def _store(log: Path) -> Path:
    return log.parents[1]


def write_logs(coming: Sequence[IncomingLog]) -> list[IncomingLog]:
    """Write the logs, each atomically, and return those that were written.

    Each is compared again under its lock, since a run that no study of the stores lists may have written its log
    meanwhile. Raises ConfigError for the log of a run in progress, or one that now contradicts the other store's.
    """
    return [log for log in coming if _write(log)]


def _write(log: IncomingLog) -> bool:
    log.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = LogLock(log.target)
    except LogInUse:
        raise _in_progress(log) from None
    wanted = _incoming(log.source, log.target) is not None
    if wanted:
        write_atomically(log.target, complete_part(log.source), durable=True)
    del lock
    return wanted


def copy_checkpoints(other: Path, store: Path) -> list[str]:
    """Copy later checkpoints of runs without a result from ``other`` to ``store``. Return the keys of the runs.

    Runs in progress are left alone.
    """
    keys = [folder.name for folder in checkpoint_folders(other)]
    return [key for key in keys if Store(store).log(key).exists() and _copy_checkpoints(other, store, key)]


def _copy_checkpoints(other: Path, store: Path, key: str) -> bool:
    """Copy the later checkpoints of one run. Return whether there were any."""
    try:
        lock = LogLock(Store(store).log(key))
    except LogInUse:
        return False
    if read(Store(store).log(key)).state in FINAL_STATES:
        return False
    folder, target = Store(other).checkpoints(key), Store(store).checkpoints(key)
    newest = max((path.name for path in target.glob("step-*.pt")), default="")
    later = [path for path in sorted(folder.glob("step-*.pt")) if path.name > newest]
    for path in later:
        write_atomically(target / path.name, path.read_bytes(), durable=True)
    del lock
    return bool(later)
