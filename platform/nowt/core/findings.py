"""The lines that ``nowt doctor`` prints: one per check, stating that it passed or what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["fine", "WRONG", "----"]  # the last for what was not checked


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    message: str
    state: State = "fine"

    def __str__(self) -> str:
        return f"{self.state:5}  {self.subject}: {self.message}"


def findings(subject: str, problems: Iterable[str], fine: str) -> list[Finding]:
    """Return one finding per problem; without problems, one with the message ``fine``."""
    found = [Finding(subject, problem, "WRONG") for problem in problems]
    return found or [Finding(subject, fine)]
