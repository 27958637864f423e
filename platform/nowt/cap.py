"""A cap on the hours, or the money, that a study takes over all its starts."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nowt.engine import Decision
from nowt.errors import require
from nowt.hands.driver import Driver
from nowt.ledger import Message, Planned
from nowt.log import RunLog, read

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Cap:
    """The most that a study may take: ``hours`` of its machines, or as many as ``money`` buys at ``price`` an hour."""

    hours: float | None = None
    money: float | None = None
    price: float | None = None  # of an hour of all machines that work on the study

    def __post_init__(self) -> None:
        require(self.hours is None or self.hours > 0, f"--hours is {self.hours}: it must be above 0")
        require(self.money is None or self.money > 0, f"--money is {self.money}: it must be above 0")
        require(self.price is None or self.price > 0, f"--price is {self.price}: it must be above 0")
        require(
            (self.money is None) == (self.price is None), "--money and --price go together: --money 20 --price 0.53"
        )
        require(self.hours is None or self.money is None, "--hours and --money both cap the study: give one")

    @property
    def most(self) -> float | None:
        """Hours; None where there is no cap."""
        return self.money / self.price if self.money is not None and self.price is not None else self.hours

    def spoken(self) -> str:
        """The cap, in words."""
        bought = f", which {self.money:g} buys at {self.price:g} an hour" if self.money is not None else ""
        return f"{self.most:.3g} hours{bought}"


@dataclass
class Capped:
    """A driver that starts nothing once its study has taken ``most`` hours, and stops each live run at its next epoch,
    whose checkpoint is written. None: no cap."""

    driver: Driver
    most: float | None
    before: float = 0.0  # hours of earlier starts
    begun: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """Whether the hours are spent."""
        return self.most is not None and self.before + (time.monotonic() - self.begun) / 3600 >= self.most

    @property
    def done(self) -> bool:
        """Whether nothing may be done any more."""
        return self.over or self.driver.done

    def decide(self) -> Decision:
        """See Driver."""
        return Decision("done") if self.over else self.driver.decide()

    def begin(self, key: str) -> Planned:
        """See Driver."""
        return self.driver.begin(key)

    def hear(self, key: str, message: Message) -> bool:
        """See Driver."""
        return self.driver.hear(key, message) and not (self.over and message["kind"] == "epoch")

    def lose(self, key: str, reason: str) -> None:
        """See Driver."""
        self.driver.lose(key, reason)


def capped(driver: Driver, cap: Cap, store: Path, keys: Iterable[str]) -> Capped:
    """``driver`` under ``cap``; its study's runs so far are ``keys``."""
    if cap.most is None:
        return Capped(driver, None)
    paths = (store / "logs" / f"{key}.jsonl" for key in set(keys))
    return Capped(driver, cap.most, hours_at_work(read(path) for path in paths if path.exists()))


def hours_at_work(runs: Iterable[RunLog]) -> float:
    """Hours in which at least one of the runs was at work: each attempt, from its start to its last line."""
    total, reached = 0, 0
    for begin, end in sorted(span for run in runs for span in run.spans):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total / HOUR_MS
