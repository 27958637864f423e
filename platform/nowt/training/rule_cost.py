"""The FLOPs that a rule spends in its own methods, outside the forward and backward pass."""

from dataclasses import dataclass
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from nowt.core.distributed import Group
from nowt.rules.base import Rule

BUILT_IN = "nowt.rules."  # package of the rules whose cost is known


@dataclass
class RuleCost:
    """Counts the FLOPs of a rule's ``before_learning``, ``before_step`` and ``after_step``.

    torch's FlopCounterMode counts matrix products, convolutions and attention; all other work counts as 0. Built-in
    rules compute such products in mirror mode only, and these cost the same for every mirror sample; they are counted
    once. A custom rule may do anything at any step, so every call is counted.
    """

    rule: Rule
    group: Group
    per_sample: float = 0.0  # FLOPs of a mirror sample over all layers; 0 until it is measured

    def call(self, method: str, *arguments: Any) -> tuple[int, float]:
        """Call a method of the rule; return the mirror samples that it showed to each layer, and its FLOPs.

        These are the FLOPs of all workers if they divide the work among themselves: the streams of mirror noise, or
        the images that a rule learns from. They are those of one worker if all draw the same mirror noise.
        """
        act = getattr(self.rule, method)
        if self._is_known(act):
            shown = act(*arguments) or 0
            return shown, self.per_sample * shown
        with FlopCounterMode(display=False) as counter:
            shown = act(*arguments) or 0
        flops = counter.get_total_flops() * self._workers
        if shown and _is_built_in(type(self.rule)):
            self.per_sample = flops / shown
            return shown, self.per_sample * shown
        return shown, float(flops)

    def _is_known(self, act: Any) -> bool:
        """Return whether a call need not be counted: the cost of a mirror sample is measured, or there are none."""
        if self.rule.learns_from == "mirror":
            return _is_built_in(type(self.rule)) and self.per_sample > 0
        return _is_built_in(act)

    @property
    def _workers(self) -> int:
        repeated = self.rule.learns_from == "mirror" and self.rule.noise_streams() == 1
        return 1 if repeated else self.group.size


def _is_built_in(defined: Any) -> bool:
    return bool(defined.__module__.startswith(BUILT_IN))
