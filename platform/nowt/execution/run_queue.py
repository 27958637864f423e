"""Keeps a study's logs: every message of a run goes through here, to its log first and to the record after."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from nowt.execution.driver import Decision, Message, PlannedRun
from nowt.execution.pricing import machines
from nowt.execution.scheduling import Fact, decide
from nowt.store.layout import Store
from nowt.store.locks import LogInUse
from nowt.store.records import OVER, RunLog, State, epoch_from_json
from nowt.store.run_log import LogWriter, read


@dataclass
class RunQueue:
    """The study's plan and the state of its runs; one a study, held by the process that drives it."""

    store: Path
    plan: tuple[PlannedRun, ...]
    heard: Callable[[PlannedRun, RunLog], None]  # told after the log has it: progress, MLflow
    writers: dict[str, LogWriter] = field(default_factory=dict)
    live: set[str] = field(default_factory=set)
    at_work: set[str] = field(default_factory=set)  # those of the live runs that a worker has taken up
    tried: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)  # runs that another study is at
    facts: dict[str, Fact] = field(default_factory=dict)
    logs: dict[str, RunLog] = field(default_factory=dict)  # what each run's log says now, where it has one
    by_key: dict[str, PlannedRun] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for planned in self.plan:
            self.add(planned)

    def _look_up(self, planned: PlannedRun) -> None:
        path = Store(self.store).log(planned.key)
        if path.exists():
            self.logs[planned.key] = read(path)
            self.facts[planned.key] = _fact(self.logs[planned.key])

    def add(self, planned: PlannedRun) -> None:
        """One more run, unless it is planned already."""
        if planned.key not in self.by_key:
            self.by_key[planned.key] = planned
            self._look_up(planned)

    def release(self) -> None:
        """Let go of the logs of runs that were stopped on their way, so that another study can go on with them."""
        self.writers.clear()

    def forget(self, key: str) -> None:
        """Drop what is known of a run that is over; its log knows."""
        for known in (self.by_key, self.logs, self.facts):
            known.pop(key, None)

    def recall(self) -> None:
        """Tell what the logs know from earlier, so that the record and the display begin where the study stands."""
        for planned in self.by_key.values():
            if planned.key in self.logs:
                self.heard(planned, self.logs[planned.key])

    def decide(self) -> Decision:
        """What to do with a free slot. A run that another study is at is waited for, since it may end it."""
        for key in tuple(self.elsewhere):
            self.claim(key)
        while True:
            decision = decide(tuple(self.by_key), self.facts, self.live | self.elsewhere, self.tried)
            if decision.do != "start" or self.claim(decision.key):
                return decision

    def claim(self, key: str) -> bool:
        """Whether the run is this study's to go on with: its log is held, and has no result yet."""
        if key in self.writers:
            return True
        try:
            writer = LogWriter.open(self.store, key)
        except LogInUse:
            self.elsewhere.add(key)
            return False
        self.elsewhere.discard(key)
        if writer.run.state in OVER:
            self._tell(self.by_key[key], writer.run)
            return False
        self.writers[key] = writer
        return True

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.decide().do == "done"

    def begin(self, key: str) -> PlannedRun:
        """Hand out a run: its log is open from now on, and says what it is even if no worker ever does."""
        claimed = self.claim(key)
        assert claimed, f"{key} is not this study's"
        self.live.add(key)
        self.tried.add(key)
        writer, planned = self.writers[key], self.by_key[key]
        if writer.run.start:
            writer.resume(writer.run.last_epoch, machines())
        else:
            writer.start(key, machines(), **planned.start)
        self._tell(planned, writer.run)
        return planned

    def hear(self, key: str, message: Message) -> bool:
        """Write one message of a live run to its log, unless the log has it, then tell it on. True: the run goes on."""
        if key not in self.live:
            return True
        if self._written(key, message):
            self._tell(self.by_key[key], self.writers[key].run)
        if key not in self.live:
            del self.writers[key]  # and with it the hold on the log
        return True

    def _written(self, key: str, message: Message) -> bool:
        """Whether the message was new to the log."""
        writer = self.writers[key]
        if message["kind"] == "epoch":
            return writer.epoch(epoch_from_json(message["epoch"]), message.get("workers", 1))
        if message["kind"] == "end":
            writer.end(message["state"], message["reason"], message.get("spent"))
            self.live.discard(key)
            self.at_work.discard(key)
            return True
        again = key in self.at_work  # Ray Tune gave the run of a lost worker to another
        self.at_work.add(key)
        if again:
            writer.resume(writer.run.last_epoch, machines())
        return again

    def _tell(self, planned: PlannedRun, run: RunLog) -> None:
        self.logs[planned.key] = run
        self.facts[planned.key] = _fact(run)
        self.heard(planned, run)

    def lose(self, key: str, reason: str) -> None:
        """A run's worker is gone for good: the machine's fault."""
        self.hear(key, {"kind": "end", "state": "failed", "reason": reason})


def _fact(run: RunLog) -> Fact:
    return Fact(cast(State, run.state), run.last_epoch)
