"""What a learning rule is: which weights carry the error back through a layer, and how they themselves learn."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from nowt.core.distributed import ALONE, Group

if TYPE_CHECKING:
    pass


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
        """Put on ``layer`` what the rule keeps there, with ``layer.register_state``."""

    def feedback(self, layer: "FeedbackLayer") -> Tensor:
        """The weights that carry the error back through ``layer``, in W's shape."""
        return layer.feedback

    def propagate(self, layer: "FeedbackLayer", x: Tensor) -> Tensor:
        """The layer's output for ``x``, with this rule's way back attached to it.

        A rule whose error does not come through a matrix of W's shape (direct feedback alignment), or that looks at a
        layer's activity, overrides this.
        """
        return layer.forward_map(x, self.feedback(layer))

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


NONLINEARITIES = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "linear": torch.clone}


class FeedbackLayer(nn.Module, ABC):
    """What Conv2d and Linear of this module share. ``weight`` is W and ``feedback`` B, in the same layout."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    feedback: Tensor
    largest: Tensor
    rule: Rule
    name: str  # the layer's dotted name in its model
    activation: str  # the nonlinearity above the layer, a key of NONLINEARITIES
    output_layer: nn.Module  # the network's last layer, whose error direct feedback broadcasts
    use_backprop: bool = False  # measure what backprop would have sent instead
    map_size: tuple[int, int] | None = None  # height and width of the layer's input, where an example was given

    def register_state(self, name: str, value: Tensor) -> None:
        """Register a tensor that is saved and moved with the layer, but never a leaf of the gradient."""
        self.register_parameter(name, nn.Parameter(value, requires_grad=False))

    def nonlinearity(self, y: Tensor) -> Tensor:
        """φ(y)."""
        return NONLINEARITIES[self.activation](y)

    @property
    def fan_in(self) -> int:
        """Weights that meet in one output unit."""
        return self.weight[0].numel()

    @abstractmethod
    def forward_map(self, x: Tensor, feedback: Tensor) -> Tensor:
        """The layer's output for ``x``, the error going back through ``feedback``."""

    @abstractmethod
    def linear_map(self, x: Tensor, padded: bool = True) -> Tensor:
        """W x alone: no bias, no nonlinearity (the mirror map)."""

    @abstractmethod
    def outer_sum(self, x: Tensor, y: Tensor, padded: bool = True) -> Tensor:
        """Σ y xᵀ over samples (and positions), in W's layout."""

    @abstractmethod
    def probe_shape(self, samples: int, extent: int) -> tuple[int, ...]:
        """Shape of the noise whose answer has ``extent`` positions a side."""

    @abstractmethod
    def orthonormal_probes(self, stream: torch.Generator) -> Tensor:
        """``fan_in`` orthonormal inputs that reach every weight once."""

    @abstractmethod
    def positions(self, x: Tensor) -> int:
        """Samples times output positions of the layer's answer to ``x``."""

    @abstractmethod
    def unreached(self, shape: tuple[int, ...]) -> bool:
        """Whether an input of ``shape`` leaves weights that none of its numbers reaches."""

    @abstractmethod
    def tap_counts(self, x: Tensor) -> Tensor | int:
        """How many samples and positions reach each tap of the kernel (fewer at a padded border)."""
