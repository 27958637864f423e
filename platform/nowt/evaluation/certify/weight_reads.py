"""Records of which operation read the weights W of a layer."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class WeightRead:
    """One operation that read the W of a layer, or a copy of it."""

    layer: str
    reader: str  # who read it, such as "forward map" or "optimizer"
    phase: str  # of the training step, see phases.py
    op: str


@dataclass(frozen=True)
class ReadCount:
    """How often one reader read W in one phase with one operation, over all layers."""

    reader: str
    phase: str
    op: str
    count: int
    layers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.reader}: {self.op} in the phase '{self.phase}', {self.count}×, layers {', '.join(self.layers)}"


def count_reads(reads: Sequence[WeightRead]) -> tuple[ReadCount, ...]:
    """Group reads by reader, phase and operation, in order of first appearance."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for read in reads:
        groups.setdefault((read.reader, read.phase, read.op), []).append(read.layer)
    return tuple(ReadCount(*key, len(layers), tuple(dict.fromkeys(layers))) for key, layers in groups.items())
