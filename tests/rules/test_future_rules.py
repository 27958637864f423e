"""Custom rules beyond the built-in ones: two published rules, implemented with the public interface of nowt alone."""

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt import LayerView, Rule, attach
from nowt.layers.alignment import angle, measure_alignment
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.moment import Moment
from tests.support.nets import attached, batch, conv_net, dense_net, gradients, normal, train_step


@dataclass(frozen=True)
class DirectFeedback(Rule):
    """Direct feedback alignment, δ_l = φ'(·) ∘ B_l e: a fixed B_l sends the output error e directly to each layer.

    Nøkland (2016), "Direct feedback alignment provides learning in deep neural networks". B of a layer has shape
    (classes, inputs): it maps e to the layer's input. Convolutions need the argument ``example`` of ``attach``.
    """

    name: ClassVar[str] = "dfa"
    signals: ClassVar[tuple[str, ...]] = ("output_error",)

    def prepare(self, layer: LayerView) -> None:
        feedback = layer.new_zeros(*layer.network_outputs, *layer.input_shape)
        layer.register_state("feedback", layer.random("feedback").normal_(feedback, feedback[0].numel() ** -0.5))

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        return torch.tensordot(output_error, layer.feedback, 1).view(x.shape)


@dataclass(frozen=True)
class InformationAlignment(Rule):
    """Information alignment: ΔB = −η ∂R/∂B with R = α·amp + β·null + γ·decay, computed from a layer's x, Wx and B.

    Kunin et al. (2020), "Two routes to scalable credit assignment without weight symmetry".
    """

    name: ClassVar[str] = "ia"
    signals: ClassVar[tuple[str, ...]] = ("input", "preactivation")

    eta: float = 0.1
    amp: float = 2.0  # α
    null: float = 1.0  # β
    decay: float = 1.0  # γ

    def prepare(self, layer: LayerView) -> None:
        feedback = layer.new_zeros(*layer.weight_shape)
        layer.register_state("feedback", layer.random("feedback").normal_(feedback, layer.geometry.fan_in**-0.5))

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert x is not None and y is not None
        layer.cache["amp"] = layer.outer_product(x, y) / len(x)
        layer.cache["null"] = layer.outer_product(layer.send_back(y, x), y) / len(x)

    def after_step(self, layer: LayerView, step: int) -> None:
        amp, null = layer.cache["amp"], layer.cache["null"]
        gradient = -self.amp * amp + 2 * self.null * null + 2 * self.decay * layer.feedback
        layer.feedback.sub_(self.eta * gradient)


@pytest.mark.parametrize("count", [1, 6])
def test_direct_feedback_alignment_has_the_gradients_of_its_equations(count: int) -> None:
    model, layers = attached(dense_net().double(), DirectFeedback())
    x, y = normal(count, 12, dtype=torch.float64), torch.arange(count) % 5
    found = gradients(model, x, y)

    (w1, b1), (w2, b2), (w3, b3) = ((layer.weight.detach(), layer.bias) for layer in layers)
    h1 = torch.tanh(x @ w1.T + b1)
    h2 = torch.tanh(h1 @ w2.T + b2)
    e = (torch.softmax(h2 @ w3.T + b3, 1) - F.one_hot(y, 5)) / count
    d2 = (1 - h2**2) * (e @ layers[2].feedback)
    d1 = (1 - h1**2) * (e @ layers[1].feedback)
    for layer, delta, below in [(layers[0], d1, x), (layers[1], d2, h1), (layers[2], e, h2)]:
        torch.testing.assert_close(found[f"{layer.name}.weight"], delta.T @ below)
        torch.testing.assert_close(found[f"{layer.name}.bias"], delta.sum(0))


def test_direct_feedback_does_not_depend_on_the_weights_above() -> None:
    x, y = normal(6, 12), torch.arange(6) % 5
    model, layers = attached(dense_net(), DirectFeedback())
    before = gradients(model, x, y)["2.weight"]
    with torch.no_grad():  # e does not change when the units of the last hidden layer are permuted
        order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
        model[2].weight.copy_(model[2].weight[order])  # type: ignore[index, operator]
        model[2].bias.copy_(model[2].bias[order])  # type: ignore[index, operator]
        model[4].weight.copy_(model[4].weight[:, order])  # type: ignore[index, operator]
        layers[2].feedback.copy_(layers[2].feedback[:, order])
    after = gradients(model, x, y)
    torch.testing.assert_close(after["2.weight"], before[order])
    torch.testing.assert_close(
        after["0.weight"], gradients(attached(dense_net(), DirectFeedback())[0], x, y)["0.weight"]
    )


def test_direct_feedback_alignment_trains_convolutions_and_has_delta_angles() -> None:
    model, (x, y) = conv_net(), batch()
    layers = attach(model, DirectFeedback(), example=x)
    assert [layer.feedback[0].numel() for layer in layers] == [192, 512, 128, 96]
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05, momentum=0.9)
    losses = [train_step(model, layers, optimizer, x, y, step) for step in range(1, 31)]
    assert losses[-1] < 0.5 * losses[0]
    found = measure_alignment(model, layers, x, y, F.cross_entropy)
    assert found[-1].delta_angle == 0.0 and all(1 < layer.delta_angle < 90 for layer in found[:-1])
    assert all(math.isnan(layer.matrix_angle) for layer in found[:-1])


def test_information_alignment_converges_to_its_fixed_point_which_is_aligned_with_w() -> None:
    """The fixed point satisfies (βΣ_y + γ)B = (α/2)·W Σ_x, with Σ_x and Σ_y the mean outer products of x and y = Wx."""
    model, (layer,) = attached(nn.Sequential(nn.Linear(200, 10, bias=False).double()), InformationAlignment())
    x = normal(2000, 200, dtype=torch.float64)
    before = angle(layer.feedback, layer.weight)
    for step in range(200):
        model(x)
        RuleSteps(layer.rule, [layer]).after_step(Moment(step, seed=0))
    w = layer.weight.detach()
    sigma_x, sigma_y = x.T @ x / len(x), w @ x.T @ x @ w.T / len(x)
    expected = torch.linalg.solve(sigma_y + torch.eye(10, dtype=torch.float64), w @ sigma_x)
    torch.testing.assert_close(layer.feedback.detach(), expected)
    assert 80 < before < 100 and angle(layer.feedback, w) < 20


def test_information_alignment_aligns_b_with_w_during_training() -> None:
    model, layers = attached(dense_net((60, 40, 5)), InformationAlignment(eta=0.02))
    x, y = normal(128, 60), torch.arange(128) % 5
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    before = [angle(layer.feedback, layer.weight) for layer in layers]
    losses = [train_step(model, layers, optimizer, x, y, step) for step in range(1, 201)]
    after = [layer.matrix_angle for layer in measure_alignment(model, layers, x, y, F.cross_entropy)]
    assert losses[-1] < 0.5 * losses[0]
    assert all(b > 75 and a < 50 for a, b in zip(after, before, strict=True)), (before, after)
