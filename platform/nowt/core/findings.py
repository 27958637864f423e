"""One line of a doctor: what was looked at, and that it is fine or what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["fine", "WRONG", "----"]  # the last for what was not looked at


@dataclass(frozen=True)
class Finding:
    """What was found of one thing."""

    thing: str
    said: str
    state: State = "fine"

    def __str__(self) -> str:
        return f"{self.state:5}  {self.thing}: {self.said}"


def findings(thing: str, problems: Iterable[str], fine: str) -> list[Finding]:
    """A line for each problem, or one that says what is ``fine``."""
    found = [Finding(thing, problem, "WRONG") for problem in problems]
    return found or [Finding(thing, fine)]
