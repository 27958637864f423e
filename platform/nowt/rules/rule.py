"""What a learning rule is: which weights carry the error back through a layer, and how they themselves learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from nowt.group import ALONE, Group

if TYPE_CHECKING:
    from nowt.layers import FeedbackLayer


@dataclass(frozen=True)
class Moment:
    """When a rule is asked to act."""

    step: int  # optimiser steps done so far; 0 is before learning
    seed: int  # seed of the mirror noise
    group: Group = ALONE  # the run's workers: B must end as the same on all of them


@dataclass(frozen=True)
class Rule:
    """A learning rule; the fields of a subclass are its hyperparameters.

    The loop asks it four questions, in this order: ``prepare`` once a layer, ``propagate`` at every forward pass,
    ``before_step`` when gradients are reduced and clipped, ``after_step`` when the optimiser has stepped. Before the
    first step ``before_learning`` is asked once.
    """

    name: ClassVar[str]
    numerics: ClassVar[int | str] = 1  # raised whenever the rule gives other numbers for the same fields
    transports: ClassVar[str] = ""  # what of W the rule reads on purpose ("sign", "weight"); empty: nothing
    source: ClassVar[str] = ""  # the file a rule of one's own comes from
    learns_from: ClassVar[Literal["", "gradient", "mirror", "weight"]] = ""  # what B learns from; empty: B is fixed

    def covers(self, name: str, last: bool) -> bool:
        """Whether the layer called ``name`` gets this rule; ``last``: it is the network's last layer."""
        return True

    def prepare(self, layer: "FeedbackLayer", seed: int) -> None:
        """Put on ``layer`` what the rule keeps there, with ``layer.keep``."""

    def feedback(self, layer: "FeedbackLayer") -> Tensor:
        """The weights that carry the error back through ``layer``, in W's shape."""
        return layer.feedback

    def propagate(self, layer: "FeedbackLayer", x: Tensor) -> Tensor:
        """The layer's output for ``x``, with this rule's way back attached to it.

        A rule whose error does not come through a matrix of W's shape (direct feedback alignment), or that looks at a
        layer's activity, overrides this.
        """
        return layer.map(x, self.feedback(layer))

    def before_learning(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int:
        """Act once before the first step; the mirror samples shown to each layer."""
        return 0

    def noise_streams(self) -> int:
        """Streams of mirror noise that the workers share out among them; 1: all of them draw the same."""
        return 1

    def before_step(self, layers: Sequence["FeedbackLayer"], optimizer: torch.optim.Optimizer) -> None:
        """Act when the gradients of W are final and the optimiser is about to step."""

    def after_step(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int:
        """Act when the optimiser has stepped; the mirror samples shown to each layer."""
        return 0

    def shortened(self, pace: float) -> "Rule":
        """The rule for a run of ``pace`` times as many steps: what it does before learning keeps its share."""
        return self
