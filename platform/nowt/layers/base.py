"""What every layer with feedback weights offers to its rule."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from nowt.rules.rule import Rule

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
    backprop: bool = False  # measure what backprop would have sent instead
    map_size: tuple[int, int] | None = None  # height and width of the layer's input, where an example was given

    def keep(self, name: str, value: Tensor) -> None:
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
    def map(self, x: Tensor, feedback: Tensor) -> Tensor:
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
    def taps(self, x: Tensor) -> Tensor | int:
        """How many samples and positions reach each tap of the kernel (fewer at a padded border)."""


def orthonormal(size: int, like: Tensor, stream: torch.Generator) -> Tensor:
    """``size`` orthonormal rows of length ``size``, drawn from ``stream``, with ``like``'s type and device."""
    noise = torch.randn(size, size, generator=stream, device=like.device, dtype=like.dtype)
    q, r = torch.linalg.qr(noise)
    rows: Tensor = q * r.diagonal().sign()  # without the signs, QR's rows are not uniform over all directions
    return rows


def cast_for_autocast(x: Tensor, *others: Tensor | None) -> tuple[Tensor | None, ...]:
    """The tensors in autocast's type where autocast is on, so that W's gradient comes back in W's own."""
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return (x, *others)
    kind = torch.get_autocast_dtype(device)
    return tuple(None if t is None else t.to(kind) for t in (x, *others))
