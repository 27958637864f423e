"""Angles of a custom loop are measured in the modes in which the model trains, and measuring them changes nothing."""

import copy
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt import ConfigError, FeedbackAlignment, LayerView, attach
from nowt.layers.feedback import Angles, Feedback
from tests.support.nets import batch, conv_net, dense_net, normal
from tests.support.stateful_rules import CountsForwardPasses, FollowsActivity

X, Y = batch(6)


def frozen_net() -> nn.Sequential:
    """A network whose batch norms are frozen at statistics that differ from those of the batch."""
    model = conv_net()
    for norm in (model[1], model[4]):
        norm.eval()
        norm.running_mean -= 0.3
    return model


def deltas(feedback: Feedback) -> dict[str, float]:
    return {name: angles.delta for name, angles in feedback.angles(X, Y).items()}


def expected_deltas(model: nn.Module) -> dict[str, float]:
    """Return the δ angles of a network in which batch norm is a fixed affine map, whatever its mode."""
    model = copy.deepcopy(model)
    for number in (1, 4):
        norm = model[number]
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        model[number] = Affine(scale.detach(), (norm.bias - norm.running_mean * scale).detach())
    return deltas(attach(model, FeedbackAlignment(), seed=1))


class Affine(nn.Module):
    """x · scale + shift, by channel."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.scale, self.shift = scale, shift

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale.view(1, -1, 1, 1) + self.shift.view(1, -1, 1, 1)


def step(model: nn.Module, feedback: Feedback) -> None:
    """Do a step that changes no weight."""
    F.cross_entropy(model(X), Y).backward()
    feedback.step(torch.optim.SGD(model.parameters(), lr=0.0))


def test_a_frozen_batch_norm_stays_frozen() -> None:
    model = frozen_net()
    expected = expected_deltas(model)
    feedback = attach(model, FeedbackAlignment(), seed=1)
    modes = [module.training for module in model.modules()]
    assert deltas(feedback) == pytest.approx(expected, abs=1e-3)
    assert [module.training for module in model.modules()] == modes
    model.train()
    assert deltas(feedback)["0"] != pytest.approx(expected["0"], abs=0.1)


@pytest.mark.parametrize("steps", [0, 1])
def test_in_eval_mode_the_modes_are_those_of_training(steps: int) -> None:
    model = frozen_net()
    expected = expected_deltas(model)
    feedback = attach(model, FeedbackAlignment(), seed=1)
    for _ in range(steps):
        step(model, feedback)
    model.eval()
    assert deltas(feedback) == pytest.approx(expected, abs=1e-3)
    assert not any(module.training for module in model.modules())


def test_a_part_that_trains_in_a_model_in_eval_mode_is_measured_so() -> None:
    model = nn.Sequential(dense_net(), nn.Dropout(0.5), nn.Linear(5, 5)).eval()
    feedback = attach(model, FeedbackAlignment(), seed=1)
    x, y = normal(6, 12), torch.arange(6) % 5
    model[1].train()
    with_dropout = feedback.angles(x, y)
    model[1].eval()
    F.cross_entropy(model(x), y).backward()
    feedback.step(torch.optim.SGD(model.parameters(), lr=0.0))
    without = feedback.angles(x, y)
    model.train()
    assert feedback.angles(x, y) == with_dropout
    assert with_dropout["0.0"].delta != without["0.0"].delta


def test_measuring_is_not_observed() -> None:
    model, x, y = dense_net(), normal(6, 12), torch.arange(6) % 5
    feedback = attach(model, FollowsActivity(), seed=1)
    model(x)
    before = [dict(layer.cache) for layer in feedback]
    feedback.angles(x[:2], y[:2])
    assert all(layer.cache["x"] is value["x"] for layer, value in zip(feedback, before, strict=True))
    assert feedback[0].through_feedback is not None


def test_a_layer_that_trains_in_eval_mode_is_named() -> None:
    model, x, y = dense_net(), normal(6, 12), torch.arange(6) % 5
    feedback = attach(model, FollowsActivity(), quiet=True)
    model[2].eval()
    F.cross_entropy(model(x), y).backward()
    message = r"^rule follows observed nothing in layer 2 in this step, because it is in eval mode: call model\.train"
    with pytest.raises(ConfigError, match=message):
        feedback.step(torch.optim.SGD(model.parameters(), lr=0.1))


class LeavesOut(nn.Module):
    """Leaves one of its layers out."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(12, 5), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.used(x)
        return y


def test_a_layer_that_the_forward_pass_does_not_call_is_named() -> None:
    model, x, y = LeavesOut(), normal(6, 12), torch.arange(6) % 5
    feedback = attach(model, FollowsActivity(), quiet=True)
    F.cross_entropy(model(x), y).backward()
    with pytest.raises(ConfigError, match="layer unused in this step, because the forward pass did not call it"):
        feedback.step(torch.optim.SGD(model.parameters(), lr=0.1))


def test_a_rule_that_looks_for_what_it_never_kept_is_not_explained_away() -> None:
    model, x, y = dense_net(), normal(6, 12), torch.arange(6) % 5
    feedback = attach(model, Misspelled(), quiet=True)
    F.cross_entropy(model(x), y).backward()
    with pytest.raises(KeyError, match="z"):
        feedback.step(torch.optim.SGD(model.parameters(), lr=0.1))


class Misspelled(FollowsActivity):
    """Looks for another name than the one under which it kept a tensor."""

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.add_(layer.cache["z"])


def test_a_rule_whose_state_changes_in_a_forward_pass_is_refused() -> None:
    feedback = attach(dense_net(), CountsForwardPasses())
    with pytest.raises(ConfigError, match="measuring angles changed the state of rule counts passes in layer 0"):
        feedback.angles(normal(6, 12), torch.arange(6) % 5)


class SkipsAtRandom(nn.Module):
    """Applies its layer or not, by a number that Python or NumPy draws."""

    def __init__(self, draw: Callable[[], float]) -> None:
        super().__init__()
        self.layer, self.draw = dense_net((12, 12)), draw

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x) if self.draw() < 0.5 else x
        return y


@pytest.mark.parametrize("draw", [random.random, np.random.random], ids=["python", "numpy"])
def test_both_passes_draw_the_same_from_python_and_numpy_and_training_draws_as_without(
    draw: Callable[[], float],
) -> None:
    model = nn.Sequential(*(SkipsAtRandom(draw) for _ in range(8)), dense_net())
    feedback = attach(model, FeedbackAlignment(), quiet=True)
    x, y = normal(6, 12), torch.arange(6) % 5
    random.seed(1)
    np.random.seed(1)
    found: list[dict[str, Angles]] = []
    expected = [draw() for _ in range(3)]
    random.seed(1)
    np.random.seed(1)
    for _ in range(2):
        found.append(feedback.angles(x, y))
    assert [draw() for _ in range(3)] == expected
    assert repr(found[0]) == repr(found[1])
    defined = [not math.isnan(angles.delta) for angles in found[0].values()]
    assert any(defined) and found[0]["8.4"].delta == 0.0


def test_a_batch_that_the_model_changes_in_place_stays_as_it_is() -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), dense_net())
    x, y = normal(6, 12), torch.arange(6) % 5
    before = x.clone()
    feedback = attach(model, FeedbackAlignment(), example=x)
    assert feedback.angles(x, y)["1.0"].delta > 1
    assert torch.equal(x, before)
