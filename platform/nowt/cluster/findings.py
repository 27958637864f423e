"""The lines that ``nowt doctor`` prints: one per check, stating that it passed or what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    message: str
    state: State = "ok"

    def __str__(self) -> str:
        return f"{self.state:7}  {self.subject}: {self.message}"


def findings(subject: str, problems: Iterable[str], ok_message: str) -> list[Finding]:
    """Return one finding per problem; without problems, one with the message ``ok_message``."""
    found = [Finding(subject, problem, "failed") for problem in problems]
    return found or [Finding(subject, ok_message)]
