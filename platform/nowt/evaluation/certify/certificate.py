"""What a certificate says: promises with bounds and measurements, who read W, and what is transported besides."""

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nowt.evaluation.certify.weight_reads import Reads

VERDICTS = {
    "": "no weight transport",
    "sign": "transports the sign of W, and nothing else of it",
    "weight": "transports weights on purpose: a reference, not a local rule",
}


@dataclass(frozen=True)
class Check:
    """One promise, measured."""

    name: str
    promise: str
    bound: str
    measured: str
    passed: bool
    note: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A promise that this rule does not make, and why."""

    name: str
    why: str


Findings = Iterator[Check | LeftOut]


@dataclass(frozen=True)
class Certificate:
    """Every promise that mathematics makes about one rule, with what was measured."""

    rule: str
    source: str  # the file a rule of one's own comes from
    numerics: int | str
    fields: dict[str, Any]
    transports: str  # what of W the rule says it reads on purpose: "", "sign" or "weight"
    checks: tuple[Check, ...]
    left_out: tuple[LeftOut, ...]
    reads: tuple[Reads, ...]  # who read W in the steps that were watched
    besides: tuple[str, ...]  # what is transported besides W
    versions: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether every promise held."""
        return all(check.passed for check in self.checks)

    @property
    def verdict(self) -> str:
        """What the rule transports, in a few words."""
        broken = any(check.name == "locality" and not check.passed for check in self.checks)
        if broken:
            return "reads W where it promises not to"
        if not self.passed:
            return "no verdict on what it transports, since a promise is broken"
        return VERDICTS.get(self.transports, f"reads of W on purpose: {self.transports}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, the verdict included."""
        return {"schema": 1, **asdict(self), "passed": self.passed, "verdict": self.verdict}

    def table(self, width: int = 140) -> str:
        """The certificate as text for a terminal ``width`` characters wide."""
        held = sum(check.passed for check in self.checks)
        failed = "" if self.passed else " FAILED."
        head = (
            f"{self.source or self.rule}: {held} of {len(self.checks)} promises hold.{failed} {self.verdict[0].upper()}"
        )
        parts = [f"{head}{self.verdict[1:]}.", _render(self._rows(), width)]
        parts += _section("who reads W, and how often", self._readers())
        parts += _section("transported besides", list(self.besides))
        parts += _section("not promised by this rule", self._unpromised())
        return "\n\n".join(parts)

    def _rows(self) -> Table:
        table = Table("promise", "bound", "measured", "pass", box=box.SIMPLE_HEAD, pad_edge=False)
        for check in self.checks:
            measured = f"{check.measured} ({check.note})" if check.note else check.measured
            cells = (check.promise, check.bound, measured, "yes" if check.passed else "NO")
            table.add_row(*(Text(cell) for cell in cells))
        return table

    def _readers(self) -> list[str]:
        """Who reads W in which phase, over all layers and operations; the JSON has them one by one."""
        groups: dict[tuple[str, str], list[Reads]] = {}
        for reads in self.reads:
            groups.setdefault((reads.reader, reads.phase), []).append(reads)
        return [
            f"{reader}, {phase}: {', '.join(reads.op for reads in group)} ({sum(reads.count for reads in group)}×)"
            for (reader, phase), group in groups.items()
        ]

    def _unpromised(self) -> list[str]:
        groups: dict[str, list[str]] = {}
        for left in self.left_out:
            groups.setdefault(left.why, []).append(left.name)
        return [f"{', '.join(names)}: {why}" for why, names in groups.items()]


def _section(title: str, lines: list[str]) -> list[str]:
    return ["\n".join([f"{title}:", *(f"  {line}" for line in lines)])] if lines else []


def _render(table: Table, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().strip("\n").splitlines())
