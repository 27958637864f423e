"""A cap on the hours or the money that a study spends over all its starts."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from nowt.core.errors import require
from nowt.core.formatting import counted
from nowt.execution.pricing import Price, count_machines
from nowt.execution.scheduler import Decision, Message, PlannedRun, Scheduler
from nowt.store.layout import Store
from nowt.store.records import Machines, RunLog
from nowt.store.run_log import read

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class SpendingCap:
    """The limit on a study's spending: ``hours`` of its machines, or ``money`` at a ``price`` per hour."""

    hours: float | None = None
    money: float | None = None
    price: Price | None = None

    def __post_init__(self) -> None:
        require(self.hours is None or self.hours > 0, f"--hours is {self.hours}: it must be above 0")
        require(self.money is None or self.money > 0, f"--money is {self.money}: it must be above 0")
        require(
            (self.money is None) == (self.price is None), "--money and --price go together: --money 20 --price 0.53"
        )
        require(self.hours is None or self.money is None, "--hours and --money both cap the study: give one")

    @property
    def limit(self) -> float | None:
        """Hours, or money; None if spending is unlimited."""
        return self.hours if self.money is None else self.money

    def rate(self, machines: Machines) -> float:
        """Return the amount of ``limit`` that these machines use per hour."""
        return 1.0 if self.price is None else self.price.hourly(machines)

    def to_text(self) -> str:
        """Return the cap as text."""
        if self.money is None:
            return counted(f"{self.hours:.3g}", "hour")
        bought = f"{self.money:g} buys at {self.price}"
        per_hour = self.price.total if self.price else None
        return f"{counted(f'{self.money / per_hour:.3g}', 'hour')}, which {bought}" if per_hour else f"what {bought}"


@dataclass
class CappedScheduler:
    """A scheduler that starts no run once its study has spent what the cap allows. It then stops each running run after
    its current epoch, when its checkpoint is written."""

    scheduler: Scheduler
    cap: SpendingCap
    spent: float = 0.0  # hours or money, by earlier starts and up to ``counted_at``
    counted_at: float = field(default_factory=time.monotonic)
    rate: float = 0.0  # per hour, since then

    @property
    def exhausted(self) -> bool:
        """Whether the study has spent what the cap allows."""
        return self.cap.limit is not None and self._spent_at(time.monotonic()) >= self.cap.limit

    def _spent_at(self, now: float) -> float:
        return self.spent + (now - self.counted_at) / 3600 * self.rate

    @property
    def done(self) -> bool:
        """Whether no run may start any more."""
        return self.exhausted or self.scheduler.done

    def decide(self) -> Decision:
        """Return what to do with a free slot; once the cap is reached, start no run."""
        return Decision("done") if self.exhausted else self.scheduler.decide()

    def begin(self, key: str) -> PlannedRun:
        """Start a run that ``decide`` named. The machines are counted again each time a run starts."""
        if self.cap.limit is not None:
            now = time.monotonic()
            self.spent, self.counted_at, self.rate = self._spent_at(now), now, self.cap.rate(count_machines())
        return self.scheduler.begin(key)

    def receive(self, key: str, message: Message) -> bool:
        """Process one message of a running run. Return False if the run must stop; with the cap reached, it stops after
        its current epoch."""
        return self.scheduler.receive(key, message) and not (self.exhausted and message["kind"] == "epoch")

    def mark_failed(self, key: str, reason: str) -> None:
        """End a run whose worker is lost for good."""
        self.scheduler.mark_failed(key, reason)


def apply_cap(scheduler: Scheduler, cap: SpendingCap, store: Path, keys: Iterable[str], since: int) -> CappedScheduler:
    """Return ``scheduler`` under ``cap``, with the spending of earlier starts counted.

    ``keys`` are the study's runs so far. Attempts that began before ``since`` (milliseconds since 1970) do not count,
    because another study paid for them.
    """
    if cap.limit is None:
        return CappedScheduler(scheduler, cap)
    paths = (Store(store).log(key) for key in set(keys))
    spent = spent_by((read(path) for path in paths if path.exists()), cap.rate, since)
    return CappedScheduler(scheduler, cap, spent, rate=cap.rate({}))


def spent_by(runs: Iterable[RunLog], rate: Callable[[Machines], float], since: int = 0) -> float:
    """Return the hours or money spent while at least one of the runs was executing.

    Each attempt that began at ``since`` or later counts from its start to its last log line, at the rate of the
    machines that existed when the latest attempt began.
    """
    found = (span for run in runs for span in run.spans if span.begin >= since)
    spans = sorted(found, key=lambda span: span.begin)
    total, reached = 0.0, 0
    for span, following in zip_longest(spans, spans[1:]):
        reached = max(reached, span.end)
        until = reached if following is None else min(reached, following.begin)
        total += (until - span.begin) / HOUR_MS * rate(span.machines)
    return total
