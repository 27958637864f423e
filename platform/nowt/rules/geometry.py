"""The shapes of a layer's map, and the operations on its activity and errors that need them but not W."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Geometry(ABC):
    """What a linear layer or convolution does with positions and channels, whatever its W is.

    Attributes:
        weight_shape: Shape of W: (out, in) or (out, in / groups, kh, kw).
    """

    weight_shape: tuple[int, ...]

    @property
    def fan_in(self) -> int:
        """Number of weights of one output unit."""
        return torch.Size(self.weight_shape[1:]).numel()

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample's input; of a convolution without an example input, (channels,) alone."""

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one sample's output; of a convolution without an example input, (channels,) alone."""

    @abstractmethod
    def outer_product(self, x: Tensor, error: Tensor, like: Tensor | None = None) -> Tensor:
        """Return Σ error xᵀ over samples and positions, in W's shape: W's gradient if ``error`` is that of the output.

        ``x`` is an input of the layer and ``error`` has the shape of its output, with any leading dimensions. ``like``
        is a tensor of W's shape whose memory layout the sum takes.
        """

    @abstractmethod
    def send_back(self, error: Tensor, feedback: Tensor, shape: torch.Size) -> Tensor:
        """Return the error at an input of ``shape`` that passes back through ``feedback``, which has W's shape."""

    @abstractmethod
    def mirror_product(self, x: Tensor, y: Tensor, padded: bool = True, like: Tensor | None = None) -> Tensor:
        """Return Σ y xᵀ over samples (and positions) of mirror mode, in W's shape. A convolution's input is padded with
        zeros, or not at all."""

    @abstractmethod
    def probe_shape(self, samples: int, extent: int) -> tuple[int, ...]:
        """Return the shape of an input whose output has ``extent`` positions per side."""

    @abstractmethod
    def orthonormal_probes(self, like: Tensor, stream: torch.Generator) -> Tensor:
        """Return ``fan_in`` orthonormal inputs that together reach every weight once, of the dtype of ``like``."""

    @abstractmethod
    def positions(self, x: Tensor) -> int:
        """Return the number of samples times the number of output positions for ``x``."""

    @abstractmethod
    def has_unreached_weights(self, shape: tuple[int, ...]) -> bool:
        """Return whether some weights see only padding for an input of ``shape``."""

    @abstractmethod
    def tap_counts(self, x: Tensor) -> Tensor | int:
        """Return how many samples and positions reach each tap of the kernel (fewer at a padded border)."""

    @abstractmethod
    def sampling_error(self, shape: tuple[int, ...]) -> float:
        """Return tan² of the angle between W and the mean of y xᵀ over normal noise x of ``shape``, in expectation for
        W with independent entries."""


def orthonormal(size: int, like: Tensor, stream: torch.Generator) -> Tensor:
    """Draw ``size`` orthonormal rows of length ``size``, with the dtype and device of ``like``."""
    noise = torch.randn(size, size, generator=stream, device=like.device, dtype=like.dtype)
    q, r = torch.linalg.qr(noise)
    rows: Tensor = q * r.diagonal().sign()  # without the signs, the rows of QR are not uniform over all directions
    return rows


@dataclass(frozen=True)
class LinearGeometry(Geometry):
    """The geometry of ``nn.Linear``: x is (..., in), W is (out, in)."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(in,)."""
        return (self.weight_shape[1],)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(out,)."""
        return (self.weight_shape[0],)

    def outer_product(self, x: Tensor, error: Tensor, like: Tensor | None = None) -> Tensor:
        """Return Σ error xᵀ over all leading dimensions, (out, in)."""
        return error.reshape(-1, error.shape[-1]).t() @ x.reshape(-1, x.shape[-1]).to(error.dtype)

    def send_back(self, error: Tensor, feedback: Tensor, shape: torch.Size) -> Tensor:
        """Return ``error`` @ ``feedback``, (..., in)."""
        return error @ feedback.to(error.dtype)

    def mirror_product(self, x: Tensor, y: Tensor, padded: bool = True, like: Tensor | None = None) -> Tensor:
        """Return Σ y xᵀ over samples, in W's shape."""
        return y.t() @ x

    def probe_shape(self, samples: int, extent: int) -> tuple[int, ...]:
        """Return the shape of ``samples`` × ``extent``² vectors: as many positions as in a convolution."""
        return samples * max(extent, 1) ** 2, self.weight_shape[1]

    def orthonormal_probes(self, like: Tensor, stream: torch.Generator) -> Tensor:
        """Return ``fan_in`` orthonormal input vectors."""
        return orthonormal(self.fan_in, like, stream)

    def positions(self, x: Tensor) -> int:
        """Return the number of samples."""
        return len(x)

    def has_unreached_weights(self, shape: tuple[int, ...]) -> bool:
        """Return False: every input reaches every weight."""
        return False

    def tap_counts(self, x: Tensor) -> Tensor | int:
        """Return the number of samples, which reach every weight."""
        return len(x)

    def sampling_error(self, shape: tuple[int, ...]) -> float:
        """Return (fan-in + 1) / samples."""
        return (self.fan_in + 1) / shape[0]
