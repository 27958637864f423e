"""The work of a mirror step: samples and FLOPs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MirrorWork:
    """Mirror samples and their FLOPs, for a rule that shows different samples to each layer.

    Attributes:
        samples: Mirror samples, averaged over the layers.
        flops: FLOPs of all layers together.

    Example:
        >>> from nowt.rules.mirror_work import MirrorWork
        >>> MirrorWork(samples=4, flops=100) * 2 + MirrorWork(samples=0.5, flops=10)
        MirrorWork(samples=8.5, flops=210)
    """

    samples: float = 0.0
    flops: float = 0.0

    def __add__(self, other: "MirrorWork") -> "MirrorWork":
        return MirrorWork(self.samples + other.samples, self.flops + other.flops)

    def __mul__(self, times: int) -> "MirrorWork":
        return MirrorWork(self.samples * times, self.flops * times)
