"""Which layers a model calls, in eval and in train mode, decides which have feedback weights and which is the last."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.layers.attach import attach
from nowt.rules.feedback_alignment import FeedbackAlignment
from tests.support.nets import normal


class WeightDropout(nn.Module):
    """A network whose middle layer is computed by a function in train mode, and called in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first(x))
        y = F.linear(y, F.dropout(self.middle.weight, 0.1)) if self.training else self.middle(y)
        found: Tensor = self.last(y)
        return found


def test_a_layer_that_a_function_replaces_in_train_mode_is_named_and_uses_backprop() -> None:
    with pytest.warns(UserWarning, match=r"these weights use backprop, .*: middle.weight$"):
        layers = attach(WeightDropout(), FeedbackAlignment(), example=normal(4, 6))
    assert [layer.name for layer in layers] == ["first", "last"]


class LayerDrop(nn.Module):
    """A network that skips its middle layer at random in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first(x))
        if not self.training or torch.rand(()) < 0.0:
            y = torch.relu(self.middle(y))
        found: Tensor = self.last(y)
        return found


@pytest.mark.filterwarnings("error")
def test_a_layer_that_train_mode_skips_at_random_has_a_b() -> None:
    layers = attach(LayerDrop(), FeedbackAlignment(), example=normal(4, 6))
    assert [layer.name for layer in layers] == ["first", "middle", "last"]


def test_an_example_of_one_image_fits_a_model_with_batch_norm() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3))
    assert len(attach(model, FeedbackAlignment(), example=torch.zeros(1, 1, 8, 8))) == 2


class HeadFirst(nn.Module):
    """A network that defines its output layer first, and calls ``forward`` of its layers directly."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.body = nn.Linear(5, 3), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head.forward(torch.relu(self.body(x)))
        return found


def test_the_last_layer_is_the_one_whose_forward_runs_last_also_without_hooks() -> None:
    layers = attach(HeadFirst(), FeedbackAlignment(), example=normal(4, 6))
    assert {layer.name: layer.activation for layer in layers} == {"head": "linear", "body": "relu"}
    (left,) = attach(HeadFirst(), FeedbackAlignment(last_layer="backprop"), example=normal(4, 6))
    assert left.name == "body"


def test_frozen_weights_that_use_backprop_are_named() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 1), nn.Flatten(), nn.Linear(8, 3))
    model[2].requires_grad_(False)
    with pytest.warns(UserWarning, match=r"these weights use backprop, .*: 2.weight$"):
        attach(model, FeedbackAlignment(), example=normal(4, 6))


def test_layers_accept_the_argument_names_of_torch() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    attach(model, FeedbackAlignment())
    x = normal(2, 1, 4, 4)
    assert torch.equal(model[2](input=model[0](input=x).flatten(1)), model(x))
