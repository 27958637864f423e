"""A cap on the hours, or the money, that a study takes over all its starts."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from nowt.core.errors import require
from nowt.execution.driver import Decision, Driver, Message, PlannedRun
from nowt.execution.pricing import Price, machines
from nowt.store.layout import Store
from nowt.store.records import Machines, RunLog
from nowt.store.run_log import read

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class SpendingCap:
    """The most that a study may take: ``hours`` of its machines, or ``money`` where they cost ``price``."""

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
    def most(self) -> float | None:
        """Hours, or money; None where there is no cap."""
        return self.hours if self.money is None else self.money

    def rate(self, machines: Machines) -> float:
        """What an hour of these machines takes of ``most``."""
        return 1.0 if self.price is None else self.price.hourly(machines)

    def spoken(self) -> str:
        """The cap, in words."""
        if self.money is None:
            return f"{self.hours:.3g} hours"
        bought = f"{self.money:g} buys at {self.price}"
        together = self.price.together if self.price else None
        return f"{self.money / together:.3g} hours, which {bought}" if together else f"what {bought}"


@dataclass
class CappedDriver:
    """A driver that starts nothing once its study has taken what the cap allows, and stops each live run at its next
    epoch, whose checkpoint is written."""

    driver: Driver
    cap: SpendingCap
    spent: float = 0.0  # hours or money, by earlier starts and up to ``since``
    since: float = field(default_factory=time.monotonic)
    rate: float = 0.0  # an hour, since then

    @property
    def over(self) -> bool:
        """Whether all is spent."""
        return self.cap.most is not None and self._by(time.monotonic()) >= self.cap.most

    def _by(self, now: float) -> float:
        return self.spent + (now - self.since) / 3600 * self.rate

    @property
    def done(self) -> bool:
        """Whether nothing may be done any more."""
        return self.over or self.driver.done

    def decide(self) -> Decision:
        """See Driver."""
        return Decision("done") if self.over else self.driver.decide()

    def begin(self, key: str) -> PlannedRun:
        """See Driver. Every run's beginning looks anew at which machines there are."""
        if self.cap.most is not None:
            now = time.monotonic()
            self.spent, self.since, self.rate = self._by(now), now, self.cap.rate(machines())
        return self.driver.begin(key)

    def hear(self, key: str, message: Message) -> bool:
        """See Driver."""
        return self.driver.hear(key, message) and not (self.over and message["kind"] == "epoch")

    def lose(self, key: str, reason: str) -> None:
        """See Driver."""
        self.driver.lose(key, reason)


def capped(driver: Driver, cap: SpendingCap, store: Path, keys: Iterable[str], since: int) -> CappedDriver:
    """``driver`` under ``cap``; its study's runs so far are ``keys``, and it was begun at ``since``, milliseconds since
    1970: what a run took before, it took for another study."""
    if cap.most is None:
        return CappedDriver(driver, cap)
    paths = (Store(store).log(key) for key in set(keys))
    spent = taken((read(path) for path in paths if path.exists()), cap.rate, since)
    return CappedDriver(driver, cap, spent, rate=cap.rate({}))


def taken(runs: Iterable[RunLog], rate: Callable[[Machines], float], since: int = 0) -> float:
    """What the hours took in which at least one of the runs was at work: each attempt that began at ``since`` or later,
    from its start to its last line, at the rate of the machines that there were when the latest attempt began."""
    found = (span for run in runs for span in run.spans if span.begin >= since)
    spans = sorted(found, key=lambda span: span.begin)
    total, reached = 0.0, 0
    for span, following in zip_longest(spans, spans[1:]):
        reached = max(reached, span.end)
        until = reached if following is None else min(reached, following.begin)
        total += (until - span.begin) / HOUR_MS * rate(span.machines)
    return total
