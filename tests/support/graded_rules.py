"""Rules that learn from more than a synapse's own two units, and an optimizer that does."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nowt.rules.feedback import DrawnFeedback
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView


@dataclass(frozen=True)
class ErrorRate(DrawnFeedback):
    """B follows the correlation of input and error, at a rate that is the mean error of the layer."""

    name: ClassVar[str] = "error rate"
    signals: ClassVar[tuple[str, ...]] = ("input", "error")

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert x is not None
        layer.cache["x"] = x

    def observe_error(self, layer: LayerView, error: Tensor | None, output_error: Tensor | None) -> None:
        assert error is not None
        layer.cache["product"] = layer.outer_product(layer.cache["x"], error)
        layer.cache["rate"] = error.abs().mean()

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.sub_(layer.cache["product"] * layer.cache["rate"])


@dataclass(frozen=True)
class DeclaredErrorRate(ErrorRate):
    """Declares the rate."""

    name: ClassVar[str] = "declared error rate"
    scalars: ClassVar[int] = 1


@dataclass(frozen=True)
class Activity(DrawnFeedback):
    """B follows the correlation of input and output."""

    name: ClassVar[str] = "activity"
    signals: ClassVar[tuple[str, ...]] = ("input", "preactivation")

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert x is not None and y is not None
        layer.cache["product"] = layer.outer_product(self.input(layer, x), y)

    def input(self, layer: LayerView, x: Tensor) -> Tensor:
        return x

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.mul_(0.99).add_(layer.cache["product"], alpha=1e-3)


@dataclass(frozen=True)
class UnitNorm(Activity):
    """Keeps the Frobenius norm of B at 1."""

    name: ClassVar[str] = "unit norm"

    def after_step(self, layer: LayerView, step: int) -> None:
        super().after_step(layer, step)
        layer.feedback.div_(layer.feedback.norm())


@dataclass(frozen=True)
class DeclaredUnitNorm(UnitNorm):
    """Declares the norm."""

    name: ClassVar[str] = "declared unit norm"
    scalars: ClassVar[int] = 1


@dataclass(frozen=True)
class NormedAlone(DrawnFeedback):
    """B is divided by its norm and learns nothing, so that no activity shows what a synapse knows of the others."""

    name: ClassVar[str] = "normed alone"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.div_(layer.feedback.norm())


@dataclass(frozen=True)
class Whitening(Activity):
    """B follows the correlation of the output and the whitened input."""

    name: ClassVar[str] = "whitening"

    def input(self, layer: LayerView, x: Tensor) -> Tensor:
        flat = x.transpose(1, -1).flatten(0, -2)
        covariance = flat.t() @ flat / len(flat) + 0.1 * torch.eye(flat.shape[1], dtype=x.dtype)
        return (x.transpose(1, -1) @ torch.linalg.inv(covariance)).transpose(1, -1)


@dataclass(frozen=True)
class DeclaredWhitening(Whitening):
    """Declares as many scalars as it may."""

    name: ClassVar[str] = "declared whitening"
    scalars: ClassVar[int] = 3


@dataclass(frozen=True)
class ActivationAlignment(Activity):
    """Activation alignment (Kunin et al. 2020): B x approaches W x."""

    name: ClassVar[str] = "activation alignment"

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert x is not None and y is not None
        through = _forward(layer, x, y)
        layer.cache["product"] = layer.outer_product(x, y - through) / (y.numel() / layer.weight_shape[0])

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.add_(layer.cache["product"], alpha=0.01)


def _forward(layer: LayerView, x: Tensor, y: Tensor) -> Tensor:
    """Return B x, in the shape of the layer's output."""
    if y.dim() == 2:
        return F.linear(x, layer.feedback)
    kernel = layer.weight_shape[-1]
    return F.conv2d(x, layer.feedback, stride=x.shape[-1] // y.shape[-1], padding=kernel // 2)


@dataclass(frozen=True)
class HandMade(Activity):
    """Sends the output back through B by a product of its own, which nowt cannot tell from any other."""

    name: ClassVar[str] = "hand made"

    def covers(self, name: str, last: bool) -> bool:
        return last

    def input(self, layer: LayerView, x: Tensor) -> Tensor:
        return (x @ layer.feedback.t()) @ layer.feedback


SHARED: dict[str, Tensor] = {}  # the errors of the layers, which no rule should share


@dataclass(frozen=True)
class ErrorOfAnother(FeedbackAlignment):
    """Every layer learns from the error of the layer above it."""

    name: ClassVar[str] = "error of another"
    signals: ClassVar[tuple[str, ...]] = ("error",)

    def observe_error(self, layer: LayerView, error: Tensor | None, output_error: Tensor | None) -> None:
        assert error is not None
        layer.cache["above"] = SHARED.get("error", error).square().mean()
        SHARED["error"] = error

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.mul_(1 - 0.01 * layer.cache["above"])


class Muon(torch.optim.Optimizer):
    """Makes the momentum of each matrix orthogonal (Jordan et al. 2024), by its singular vectors."""

    def __init__(self, params: Iterable[Tensor], lr: float = 0.02) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                momentum.mul_(0.9).add_(parameter.grad)
                parameter.sub_(_orthogonal(momentum), alpha=group["lr"])


def _orthogonal(momentum: Tensor) -> Tensor:
    if momentum.dim() < 2:
        return momentum
    u, _, vh = torch.linalg.svd(momentum.flatten(1), full_matrices=False)
    return (u @ vh).view_as(momentum)


class WholeNorm(torch.optim.SGD):
    """Divides the gradient by its norm over all layers."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        trained = [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        torch.nn.utils.clip_grad_norm_(trained, 1e-3)
        super().step()
