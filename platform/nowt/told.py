"""One line of a doctor: what was looked at, and that it is fine or what to do."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Told:
    """What was found of one thing."""

    thing: str
    said: str
    wrong: bool = False

    def __str__(self) -> str:
        return f"{'WRONG' if self.wrong else 'fine ':5}  {self.thing}: {self.said}"


def told(thing: str, problems: Iterable[str], fine: str) -> list[Told]:
    """A line for each problem, or one that says what is ``fine``."""
    found = [Told(thing, problem, wrong=True) for problem in problems]
    return found or [Told(thing, fine)]
