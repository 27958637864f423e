"""The queue of a study's runs. Every message of a run is written to its log first, then reported."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from nowt.core.forked_children import ForkGuard
from nowt.execution.pricing import count_machines
from nowt.execution.scheduler import Decision, Message, OnUpdate, PlannedRun, RunStatus, decide
from nowt.store.files import check_present
from nowt.store.layout import Store
from nowt.store.locks import LogInUse
from nowt.store.records import FINAL_STATES, RunLog, State, epoch_from_json
from nowt.store.run_log import LogWriter, read


def ignore_update(planned: PlannedRun, run: RunLog) -> None:
    """Do nothing: nobody has subscribed yet."""


@dataclass
class RunQueue:
    """The plan of a study and the status of its runs. A study has one, in the process that drives it."""

    store: Path
    plan: tuple[PlannedRun, ...]
    on_update: OnUpdate = ignore_update
    writers: dict[str, LogWriter] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    assigned: set[str] = field(default_factory=set)  # running runs that a worker has started on
    attempted: set[str] = field(default_factory=set)  # runs begun since this start of the study
    locked: set[str] = field(default_factory=set)  # runs whose log another study holds
    statuses: dict[str, RunStatus] = field(default_factory=dict)
    # the current log of each run that has one; of ended runs, without the layers of earlier epochs
    logs: dict[str, RunLog] = field(default_factory=dict)
    by_key: dict[str, PlannedRun] = field(default_factory=dict)
    guard: ForkGuard = field(default_factory=ForkGuard)
    has_folder: bool = False  # whether this queue has created the folder of the logs

    def __post_init__(self) -> None:
        for planned in self.plan:
            self.add(planned)

    def add(self, planned: PlannedRun) -> None:
        """Add a run to the plan and read its log, unless it is planned already."""
        if planned.key in self.by_key:
            return
        self.by_key[planned.key] = planned
        path = Store(self.store).log(planned.key)
        if path.exists():
            self._remember(read(path))

    @property
    def run_keys(self) -> Sequence[str]:
        """Keys of all planned runs."""
        return tuple(self.by_key)

    def subscribe(self, on_update: OnUpdate) -> None:
        """Call ``on_update`` whenever the log of a run has changed."""
        self.on_update = on_update

    def release(self) -> None:
        """Release the log locks of unfinished runs so that another study can resume them."""
        self.writers.clear()

    def forget(self, key: str) -> None:
        """Remove an ended run from memory; its log contains all of its data."""
        for known in (self.by_key, self.logs, self.statuses):
            known.pop(key, None)

    def load_results(self) -> None:
        """Report every run that has a log, so that tracking and progress start from the current state."""
        for planned in self.by_key.values():
            if planned.key in self.logs:
                self.on_update(planned, self.logs[planned.key])

    def decide(self) -> Decision:
        """Return what to do with a free slot. If another study holds a run, wait, since that study may finish it."""
        for key in tuple(self.locked):
            self.try_lock(key)
        while True:
            decision = decide(tuple(self.by_key), self.statuses, self.running | self.locked, self.attempted)
            if decision.do != "start" or self.try_lock(decision.key):
                return decision

    def try_lock(self, key: str) -> bool:
        """Lock the log of a run. Return False if another study holds it, or if the run has ended."""
        self.guard.check()
        if key in self.writers:
            return True
        if self.has_folder:
            check_present(Store(self.store).logs)
        self.has_folder = True
        try:
            writer = LogWriter.open(self.store, key)
        except LogInUse:
            self.locked.add(key)
            return False
        self.locked.discard(key)
        if writer.run.state in FINAL_STATES:
            self._update(self.by_key[key], writer.run)
            return False
        self.writers[key] = writer
        return True

    @property
    def done(self) -> bool:
        """Whether nothing is left to do. It locks nothing: of runs that another study holds, it reads the logs."""
        held = {key: self._status_in_log(key) for key in self.locked}
        running = self.running | {key for key, status in held.items() if status.state not in FINAL_STATES}
        return decide(tuple(self.by_key), {**self.statuses, **held}, running, self.attempted).do == "done"

    def _status_in_log(self, key: str) -> RunStatus:
        path = Store(self.store).log(key)
        return _status(read(path)) if path.exists() else RunStatus()

    def begin(self, key: str) -> PlannedRun:
        """Start a run: its log has a first line from now on, even if no worker ever starts on it."""
        has_lock = self.try_lock(key)
        assert has_lock, f"{key} is not this study's"
        self.running.add(key)
        self.attempted.add(key)
        writer, planned = self.writers[key], self.by_key[key]
        if writer.run.start:
            writer.resume(writer.run.last_epoch, count_machines(), **planned.start)
        else:
            writer.start(key, count_machines(), **planned.start)
        self._update(planned, writer.run)
        return planned

    def receive(self, key: str, message: Message) -> bool:
        """Write one message of a running run to its log, unless the log has it, then report it. Always returns True:
        a queue stops no run."""
        if key not in self.running:
            return True
        if self._write(key, message):
            self._update(self.by_key[key], self.writers[key].run)
        if key not in self.running:
            del self.writers[key]  # which releases the lock of the log
        return True

    def _write(self, key: str, message: Message) -> bool:
        """Write the message to the log of its run. Return False if the log had it already."""
        writer = self.writers[key]
        if message["kind"] == "epoch":
            return writer.epoch(epoch_from_json(message["epoch"]), message.get("workers", 1))
        if message["kind"] == "audit":
            return writer.audit(message["audit"])
        if message["kind"] == "end":
            writer.end(message["state"], message["reason"], message.get("spent"))
            self.running.discard(key)
            self.assigned.discard(key)
            return True
        again = key in self.assigned  # Ray Tune gave the run of a lost worker to another one
        self.assigned.add(key)
        if again:
            writer.resume(writer.run.last_epoch, count_machines(), **self.by_key[key].start)
        return again

    def _update(self, planned: PlannedRun, run: RunLog) -> None:
        self._remember(run)
        self.on_update(planned, run)

    def _remember(self, run: RunLog) -> None:
        self.logs[run.key] = run if run.state == "running" else _without_earlier_layers(run)
        self.statuses[run.key] = _status(run)

    def mark_failed(self, key: str, reason: str) -> None:
        """End a run whose worker is lost for good as failed."""
        self.receive(key, {"kind": "end", "state": "failed", "reason": reason})


def _status(run: RunLog) -> RunStatus:
    return RunStatus(cast(State, run.state), run.last_epoch)


def _without_earlier_layers(run: RunLog) -> RunLog:
    """Return the run without the layers of its epochs, which take most of its memory, except for the last ones."""
    probed = max((epoch.epoch for epoch in run.epochs if epoch.layers), default=-1)
    epochs = (epoch if epoch.epoch == probed else replace(epoch, layers=()) for epoch in run.epochs)
    return replace(run, epochs=tuple(epochs))
