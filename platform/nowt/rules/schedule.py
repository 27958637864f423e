"""What a rule may know of the run that it is part of: the length of an epoch, and how fast W turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Schedule:
    """The length of an epoch and the turnover of W, both known before the first step.

    Weight decay removes the share η λ of W per step, or η λ/(1 − μ) with momentum μ. In rotational equilibrium, |W| is
    constant and the updates replace this share by weights independent of the earlier ones: W's correlation with W of
    k steps ago is (1 − κ)^k, with the turnover κ equal to that share.

    Attributes:
        steps_per_epoch: Training steps per epoch.
        turnover: Sum of κ over the first t steps, for t = 0 to the last step of the run.

    Reference:
        Kosson, Messmer & Jaggi (2023), "Rotational equilibrium: how weight decay balances learning across neural
        networks", arXiv 2305.17212.

    Example:
        >>> from nowt.rules.schedule import Schedule
        >>> Schedule(steps_per_epoch=2, turnover=(0.0, 0.01, 0.02)).peak
        0.01
    """

    steps_per_epoch: int
    turnover: Sequence[float]

    @cached_property
    def peak(self) -> float:
        """The largest κ of a single step."""
        return max(after - before for before, after in zip(self.turnover, self.turnover[1:], strict=False))

    def reaches(self, step: int, amount: float) -> bool:
        """Return whether the sum of κ reaches a further multiple of ``amount`` at training step ``step`` (from 1)."""
        return self.turnover[step] // amount > self.turnover[step - 1] // amount
