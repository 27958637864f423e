"""Honest rules whose error takes another path than a matrix of W's shape that nowt drew."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from torch import Tensor

from nowt.rules.base import Rule
from nowt.rules.feedback import DrawnFeedback
from nowt.rules.layer_view import LayerView


@dataclass(frozen=True)
class Direct(Rule):
    """Direct feedback alignment (Nøkland 2016), one matrix of (classes, channels) for all positions."""

    name: ClassVar[str] = "direct"
    signals: ClassVar[tuple[str, ...]] = ("output_error",)

    def prepare(self, layer: LayerView) -> None:
        drawn = layer.random("b").normal_(layer.new_zeros(*layer.network_outputs, layer.input_shape[0]))
        layer.register_state("direct", drawn / prod(layer.input_shape) ** 0.5)

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        sent = output_error @ layer.direct
        return sent.view(*sent.shape, *[1] * (x.dim() - 2)).expand(x.shape).clone()


@dataclass(frozen=True)
class LowRank(Rule):
    """B is the product of two registered matrices."""

    name: ClassVar[str] = "low rank"

    def prepare(self, layer: LayerView) -> None:
        outputs, inputs = layer.weight_shape[0], prod(layer.weight_shape[1:])
        for name, shape in {"left": (outputs, 3), "right": (3, inputs)}.items():
            layer.register_state(name, layer.random(name).normal_(layer.new_zeros(*shape), 0.3))

    def feedback(self, layer: LayerView) -> Tensor:
        return (layer.left @ layer.right).view(layer.weight_shape) * layer.weight_std


@dataclass(frozen=True)
class Sparse(DrawnFeedback):
    """B has a tenth of its connections."""

    name: ClassVar[str] = "sparse"

    def prepare(self, layer: LayerView) -> None:
        kept = layer.random("mask").uniform_(layer.new_zeros(*layer.weight_shape)) < 0.3
        layer.feedback.mul_(kept)


@dataclass(frozen=True)
class SignsOfB(DrawnFeedback):
    """Sends the error back through the signs of B alone."""

    name: ClassVar[str] = "signs of B"

    def feedback(self, layer: LayerView) -> Tensor:
        return layer.feedback.sign() * layer.weight_std


@dataclass(frozen=True)
class EverySoOften(DrawnFeedback):
    """B shrinks once in each ``period`` of steps, which cannot be 0; in the first steps it does not."""

    name: ClassVar[str] = "every so often"

    period: int = 11

    def after_step(self, layer: LayerView, step: int) -> None:
        if step % self.period == 5:
            layer.feedback.mul_(0.9)


@dataclass(frozen=True)
class Gated(Rule):
    """Sends the error back where the input is active alone."""

    name: ClassVar[str] = "gated"
    signals: ClassVar[tuple[str, ...]] = ("error", "input")

    def prepare(self, layer: LayerView) -> None:
        drawn = layer.random("b").normal_(layer.new_zeros(*layer.weight_shape))
        layer.register_state("feedback", drawn * layer.weight_std)

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        return layer.send_back(error, x) * (x != 0)


@dataclass(frozen=True)
class LastLayer(DrawnFeedback):
    """Covers the last layer alone."""

    name: ClassVar[str] = "last layer"

    def covers(self, name: str, last: bool) -> bool:
        return last


@dataclass(frozen=True)
class ErrorDropout(DrawnFeedback):
    """Drops the errors of some output units, others in each step."""

    name: ClassVar[str] = "error dropout"

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("units", self._draw(layer))

    def feedback(self, layer: LayerView) -> Tensor:
        return layer.feedback * layer.units.view(-1, *[1] * (len(layer.weight_shape) - 1))

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.units.copy_(self._draw(layer))

    def _draw(self, layer: LayerView) -> Tensor:
        drawn = layer.random("units").uniform_(layer.new_zeros(layer.weight_shape[0]))
        return 2 * (drawn >= 0.5).to(drawn)


@dataclass(frozen=True)
class LearnsWhereConnected(DrawnFeedback):
    """A third of the synapses of B exist, as booleans say; these follow W's gradient."""

    name: ClassVar[str] = "learns where connected"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    def prepare(self, layer: LayerView) -> None:
        drawn = layer.random("connected").uniform_(layer.new_zeros(*layer.weight_shape))
        layer.register_state("connected", drawn < 1 / 3)
        layer.feedback.mul_(layer.connected)

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        layer.feedback.mul_(1 - lr * weight_decay).sub_(gradient * layer.connected, alpha=lr)


RULES = [
    *(LastLayer(), Direct(), LowRank(), Sparse(), SignsOfB(), EverySoOften(), Gated()),
    *(ErrorDropout(), LearnsWhereConnected()),
]
