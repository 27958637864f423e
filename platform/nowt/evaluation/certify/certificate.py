"""The certificate of a rule: checks with bounds and measurements, reads of W, and what else the network transports."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nowt.core.formatting import counted
from nowt.evaluation.certify.weight_reads import ReadCount

VERDICTS = {
    "": "no weight transport",
    "sign": "transports the sign of W and nothing else of it",
    "weight": "transports weights on purpose: a reference, not a local rule",
}


WITHOUT_VERDICT = {
    "finite": "its numbers do not stay finite",
    "same seed": "the same seed gives other numbers each time",
}

UNEXAMINED_LAW = "learning law"  # row of a rule whose B learns by a law that is not known

SAME_SEED, BIT_FOR_BIT = "same seed", "poisoning"  # the latter compares two runs with one seed

READING = ("locality", "null space", "signs only", "poisoning")  # checks that an undeclared read of W fails


@dataclass(frozen=True)
class Check:
    """One promise of a rule, its bound, and the measured value."""

    name: str
    promise: str
    bound: str
    measured: str
    passed: bool
    note: str = ""


@dataclass(frozen=True)
class SkippedCheck:
    """A promise that this rule does not make, or a law that was not examined, and the reason."""

    name: str
    why: str


@dataclass(frozen=True)
class Grade:
    """How much a synapse needs to know for its change in a step: the locality grade of a rule with its optimizer.

    Attributes:
        name: ``"synapse-local"``: the activity of its own two units, and the declared scalars. ``"layer-local"``: more,
            from its own layer. ``"global"``: activity of other layers, or more gradients of other synapses than the
            layer has units. ``"transports B"``: vectors pass forward through B. ``"transports"`` and ``"transports the
            sign"``: the rule declares that it reads W. ``"not graded"``: nothing could be measured.
        scalars: The number of scalars that the rule declares.
        rank: The largest measured rank of changes outside a unit's row or column; None if not measured.
        reasons: What was measured, and what the grade assumes, as sentences.
    """

    name: str
    scalars: int
    rank: int | None
    reasons: tuple[str, ...]


NO_GRADE = Grade("not graded", 0, None, ("the rule reads W where it promises not to",))

CheckResults = Iterator[Check | SkippedCheck]


@dataclass(frozen=True)
class Certificate:
    """The result of :func:`nowt.certify`: every promise that applies to a rule, with what was measured.

    Attributes:
        rule: The rule's name.
        source: The file of a custom rule; empty for a built-in one.
        numerics: The rule's numerics version.
        fields: The rule's settings.
        transports: What the rule declares to read of W: "" (nothing), "sign" or "weight".
        checks: The checks that apply to the rule.
        left_out: The checks that do not apply, each with the reason, and what was not examined.
        reads: Every read of W in the traced steps, counted by reader, phase and operation.
        starts_from_weight: Whether B starts at a set angle to W, other than 90°.
        reads_out: Whether mirror noise reads W out exactly.
        left_to_backprop: Layers of the certified network that the rule does not cover.
        also_transported: What the network transports besides W, as sentences; ``besides`` in the JSON.
        code: Hashes of the rule's code, by module.
        versions: Versions of nowt, torch and Python.
        grade: The locality grade of the rule with SGD, momentum and weight decay.

    Example:
        >>> from nowt import Sham, certify
        >>> certificate = certify(Sham())
        >>> certificate.passed, certificate.transports
        (True, 'weight')
    """

    rule: str
    source: str
    numerics: int | str
    fields: dict[str, Any]
    transports: str
    checks: tuple[Check, ...]
    left_out: tuple[SkippedCheck, ...]
    reads: tuple[ReadCount, ...]
    starts_from_weight: bool
    reads_out: bool
    left_to_backprop: tuple[str, ...]
    also_transported: tuple[str, ...]
    code: dict[str, str]
    versions: dict[str, str]
    grade: Grade

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def verdict(self) -> str:
        """What the rule transports, in a few words. Only a rule of which all of it was examined transports nothing."""
        if reads_undeclared(self.checks):
            return "reads W where it promises not to"
        for name, reason in WITHOUT_VERDICT.items():
            if any(check.name == name and not check.passed for check in self.checks):
                return f"no verdict on weight transport, because {reason}"
        if not self.passed:
            return "no verdict on weight transport, because a promise is broken"
        if self.transports:
            return VERDICTS.get(self.transports, f"declares that it reads of W: {self.transports}")
        if self.reads_out:
            return "no undeclared read of W, but its mirror noise reads W out exactly: an upper bound, not a local rule"
        if self.starts_from_weight:
            return "no undeclared read of W in training, but B starts from W: an initial angle other than 90° is set"
        backprop = f"; backprop in {', '.join(self.left_to_backprop)}" if self.left_to_backprop else ""
        if self._has_unexamined_law:
            return f"no undeclared read of W, but how B learns was not examined: no law is declared{backprop}"
        return f"no weight transport in the layers that it covers{backprop}" if backprop else VERDICTS[""]

    @property
    def _has_unexamined_law(self) -> bool:
        return any(row.name == UNEXAMINED_LAW for row in self.left_out)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, including ``passed`` and ``verdict``."""
        stored = {"also_transported": "besides"}  # the key that stored certificates have
        data = {stored.get(name, name): value for name, value in asdict(self).items()}
        return {"schema": 1, **data, "passed": self.passed, "verdict": self.verdict}

    def table(self, width: int = 140) -> str:
        """Return the certificate as text for a terminal ``width`` characters wide."""
        held = sum(check.passed for check in self.checks)
        failures = [check.name for check in self.checks if not check.passed]
        failed = f" FAILED: {', '.join(failures)}." if failures else ""
        verdict = f"{self.verdict[0].upper()}{self.verdict[1:]}."
        promises = f"{counted(len(self.checks), 'promise')} hold{'s' * (len(self.checks) == 1)}"
        parts = [f"{self.source or self.rule}: {held} of {promises}.{failed} {verdict}"]
        parts.append(render(self._check_table(), width))
        parts += _section("failed", [f"{c.name}: {c.promise}: {c.measured}" for c in self.checks if not c.passed])
        parts += _section(f"locality grade: {self.grade.name}", list(self.grade.reasons))
        parts += _section("reads of W, by reader and phase", self._reader_lines())
        parts += _section("also transported", list(self.also_transported))
        parts += _section("not promised by this rule", self._skipped_lines(UNEXAMINED_LAW))
        parts += _section("not examined", [f"{r.name}: {r.why}" for r in self.left_out if r.name == UNEXAMINED_LAW])
        return "\n\n".join(parts)

    def _check_table(self) -> Table:
        table = Table("promise", "bound", "measured", "pass", box=box.SIMPLE_HEAD, pad_edge=False)
        for check in self.checks:
            measured = f"{check.measured} ({check.note})" if check.note else check.measured
            cells = (check.promise, check.bound, measured, "yes" if check.passed else "NO")
            table.add_row(*(Text(cell) for cell in cells))
        return table

    def _reader_lines(self) -> list[str]:
        """Reads over all layers and operations; the JSON lists them one by one."""
        groups: dict[tuple[str, str], list[ReadCount]] = {}
        for reads in self.reads:
            groups.setdefault((reads.reader, reads.phase), []).append(reads)
        return [
            f"{reader}, {phase}: {', '.join(reads.op for reads in group)} ({sum(reads.count for reads in group)}×)"
            for (reader, phase), group in groups.items()
        ]

    def _skipped_lines(self, except_for: str) -> list[str]:
        groups: dict[str, list[str]] = {}
        for skipped in (row for row in self.left_out if row.name != except_for):
            groups.setdefault(skipped.why, []).append(skipped.name)
        return [f"{', '.join(names)}: {why}" for why, names in groups.items()]


def reads_undeclared(results: Iterable[Check | SkippedCheck]) -> bool:
    """Return whether a check failed that an undeclared read of W fails.

    Poisoning shows no read if numbers differ from one run to the next, such as those of a counter in a variable.
    """
    failed = {result.name for result in results if isinstance(result, Check) and not result.passed}
    return bool(failed & {*READING} - ({BIT_FOR_BIT} if SAME_SEED in failed else set()))


def _section(title: str, lines: list[str]) -> list[str]:
    return ["\n".join([f"{title}:", *(f"  {line}" for line in lines)])] if lines else []


def render(table: Table, width: int) -> str:
    """Return a table as text."""
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().strip("\n").splitlines())
