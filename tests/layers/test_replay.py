"""A step that is done again with another W maps as before, bit for bit."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nowt.layers.attach import attach
from nowt.layers.feedback import Feedback
from nowt.layers.replay import MapsDiffer, recorded_maps, replayed_maps
from nowt.rules.feedback_alignment import FeedbackAlignment


class Net(nn.Module):
    """A convolution whose activity changes in place, and linear layers on several positions, partly without a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.each, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu_(self.conv(x)).flatten(2).transpose(1, 2)
        checkpointed: Tensor = checkpoint(self.each, hidden, use_reentrant=True)
        out: Tensor = self.out(checkpointed.mean(1))
        return out


@pytest.fixture
def network() -> tuple[Net, Feedback, Tensor]:
    torch.manual_seed(0)
    model, x = Net(), torch.randn(2, 1, 5, 5)
    return model, attach(model, FeedbackAlignment()), x


def gradients(model: nn.Module, x: Tensor) -> list[Tensor]:
    model.zero_grad()
    model(x).square().sum().backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def test_outputs_and_gradients_are_the_same_with_another_w(network: tuple[Net, Feedback, Tensor]) -> None:
    model, layers, x = network
    with recorded_maps(layers) as recorded:
        before = gradients(model, x)
    for layer in layers:
        layer.weight.data.normal_()
    assert not all(map(torch.equal, gradients(model, x), before))
    with replayed_maps(layers, recorded):
        again = gradients(model, x)
    assert len(again) == 6 and all(map(torch.equal, again, before))
    assert not any(name in vars(layer) for layer in layers for name in ("forward", "apply_plain"))


def test_a_call_that_was_not_recorded_is_refused(network: tuple[Net, Feedback, Tensor]) -> None:
    model, layers, x = network
    with recorded_maps(layers) as recorded:
        model(x)
    with replayed_maps(layers, recorded), pytest.raises(MapsDiffer, match="layer conv maps more often than before"):
        model(x)
        model(x)
    with replayed_maps(layers, recorded), pytest.raises(MapsDiffer, match="or another shape"):
        model(x[:, :, :4])
