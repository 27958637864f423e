"""Rules that declare signs of W and take more than signs."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nowt.evaluation.certify.null_space import check_null_space
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.layer_view import LayerView
from nowt.rules.sign_symmetry import SignSymmetry
from tests.evaluation.cheats.cheat import Cheat
from tests.support.stolen_layers import stolen_layer


@dataclass(frozen=True)
class ReadsSizes(SignSymmetry):
    """Scales the entries of B, whose signs nowt sets, by what it reads."""

    name: ClassVar[str] = "reads sizes"

    def sizes(self, layer: FeedbackLayer) -> Tensor:
        """Return positive numbers in the shape of W."""
        raise NotImplementedError

    @torch.no_grad()
    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.copy_(self.sizes(stolen_layer()))


class SignsOfPairs(ReadsSizes):
    """Reads pairs of weights as complex numbers, whose sign is their direction."""

    def sizes(self, layer: FeedbackLayer) -> Tensor:
        pairs = torch.view_as_complex(layer.weight.detach().view(-1, 2))
        return torch.view_as_real(torch.sgn(pairs)).abs().reshape(layer.weight.shape)


class SignsOfBytes(ReadsSizes):
    """Reads the highest bit of a byte inside each number: a bit of its fraction."""

    def sizes(self, layer: FeedbackLayer) -> Tensor:
        numbers = layer.weight.detach().double()
        bits = torch.signbit(numbers.view(torch.int8)).view(*numbers.shape, 8)[..., 5]
        return torch.where(bits, 0.1, 0.05).to(layer.weight)


class SignsOfDifferences(ReadsSizes):
    """Compares each weight with all others, which sorts them by size."""

    def sizes(self, layer: FeedbackLayer) -> Tensor:
        order = layer.weight.detach().abs().flatten().argsort().argsort()
        return (order.to(layer.weight) / len(order)).view_as(layer.weight).add(0.01)


CHEATS = [Cheat(rule(), check_null_space, "signs only") for rule in (SignsOfPairs, SignsOfBytes, SignsOfDifferences)]
