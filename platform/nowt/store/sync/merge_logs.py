"""Two stores' logs by run key: which come, which stay, and which contradict each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nowt.core.errors import ConfigError
from nowt.store.files import write_atomically
from nowt.store.jsonl import complete_part
from nowt.store.layout import Store
from nowt.store.locks import LogInUse, LogLock
from nowt.store.records import OVER, RunLog, epoch_to_json
from nowt.store.run_log import read

OF_THE_MACHINE = ("seconds", "probe_seconds")  # the same run measures other ones elsewhere


@dataclass(frozen=True)
class Coming:
    """A log that one store is to take over from another."""

    source: Path
    target: Path

    @property
    def new(self) -> bool:
        """Whether the store has no log of the run yet."""
        return not self.target.exists()

    @property
    def grows(self) -> bool:
        """Whether it begins with all that the store has."""
        return not self.new and complete_part(self.source).startswith(complete_part(self.target))


def coming_logs(other: Path, store: Path) -> list[Coming]:
    """The logs in ``other`` that ``store`` lacks or that got further there: a result before none, then more epochs.

    Raises ConfigError where both have an epoch of a run and disagree about it, ValueError for a log that is none.
    """
    found = []
    for source in Store(other).log_files():
        theirs, target = read(source), Store(store).logs / source.name
        if not theirs.start:
            continue  # a crash cut even its first line short
        if target.exists():
            ours = read(target)
            _check_agree(ours, theirs, store, other)
            if _reach(theirs) <= _reach(ours):
                continue
        found.append(Coming(source, target))
    return found


def _reach(run: RunLog) -> tuple[bool, int, bool]:
    return run.state in OVER, run.last_epoch, run.state != "running"


def _check_agree(ours: RunLog, theirs: RunLog, store: Path, other: Path) -> None:
    known = {epoch.epoch: _measured(epoch_to_json(epoch)) for epoch in ours.epochs}
    for epoch in theirs.epochs:
        measured = _measured(epoch_to_json(epoch))
        if known.get(epoch.epoch, measured) != measured:
            where = next(name for name in measured if measured[name] != known[epoch.epoch][name])
            raise ConfigError(
                f"run {ours.key} has another epoch {epoch.epoch} in {other} than in {store} ({where} differs): nothing "
                f"was merged; move the log that is wrong away, logs/{ours.key}.jsonl"
            )


def _measured(epoch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in epoch.items() if name not in OF_THE_MACHINE}


def take_logs(coming: Sequence[Coming]) -> None:
    """Write the logs, each whole or not at all. Raises ConfigError for one that a run is being written to."""
    for log in coming:
        try:
            hold = LogLock(log.target) if log.target.exists() else None
        except LogInUse:
            raise ConfigError(
                f"run {log.target.stem} is being run now: wait for it, or stop it, and merge again"
            ) from None
        write_atomically(log.target, complete_part(log.source), durable=True)
        del hold


def take_checkpoints(other: Path, store: Path) -> list[str]:
    """Copy the checkpoints of runs without a result in ``store``, where ``other``'s are later; the runs' keys."""
    taken = []
    for folder in sorted(Store(other).all_checkpoints.glob("*")):
        log, target = Store(store).log(folder.name), Store(store).checkpoints(folder.name)
        if not log.exists() or read(log).state in OVER:
            continue
        newest = max((path.name for path in target.glob("step-*.pt")), default="")
        later = [path for path in sorted(folder.glob("step-*.pt")) if path.name > newest]
        for path in later:
            write_atomically(target / path.name, path.read_bytes(), durable=True)
        taken += [folder.name] if later else []
    return taken
