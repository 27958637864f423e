"""The point in training at which a rule's step is done: for nowt's own loop, not for rules."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from nowt.core.distributed import SINGLE_WORKER, Group
from nowt.rules.schedule import Schedule

Respond = Callable[..., Tensor]  # of layer, noise and x: the layer's response


@dataclass(frozen=True)
class Moment:
    """The point in training at which a rule's step is done.

    Args:
        step: Number of optimizer steps done so far; 0 before learning.
        seed: Seed of the mirror noise. The rule's generators derive from it, the layer's name and ``step``, so that a
            resumed run draws the same noise.
        group: The workers that train this run together. B must be the same on all of them after the call. Default: one
            worker.
        respond: Answers mirror noise in place of the layers, as a certificate does from a recording. Default None: the
            layers respond.
        schedule: The length of an epoch and the turnover of W. Default None: unknown, as in your own loop.

    Example:
        >>> from nowt.rules.moment import Moment
        >>> Moment(step=0, seed=1).group.size
        1
    """

    step: int
    seed: int
    group: Group = SINGLE_WORKER
    schedule: Schedule | None = None
    respond: Respond | None = None
