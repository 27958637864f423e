"""Direct feedback: the output error reaches each layer through its own B, fixed (dfa) or learned (dkp)."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.core.errors import ConfigError
from nowt.layers.alignment import measure_alignment
from nowt.layers.attach import attach
from nowt.layers.feedback import Feedback
from nowt.rules.base import Rule
from nowt.rules.direct_feedback_alignment import DirectFeedbackAlignment
from nowt.rules.direct_kolen_pollack import DirectKolenPollack
from tests.support.nets import batch, conv_net, dense_net

DIRECT: list[Rule] = [DirectFeedbackAlignment(), DirectKolenPollack()]

LR, DECAY, MU = 0.1, 0.02, 0.9


def dense_batch() -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    return torch.randn(7, 12, generator=stream, dtype=torch.float64), torch.arange(7) % 5


def attached(rule: Rule) -> tuple[nn.Sequential, Feedback]:
    """The dense network (12, 20, 16, 5) with tanh, in float64."""
    model = dense_net().double()
    return model, attach(model, rule)


def sgd(model: nn.Module, momentum: float = MU) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=LR, weight_decay=DECAY, momentum=momentum)


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x), y)


def numpy_errors(layers: Feedback, x: np.ndarray, y: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs of the layers, and δ at their outputs: δ_l = φ'(·) ∘ B_{l+1} e."""
    inputs = [x]
    for layer in layers[:-1]:
        assert layer.bias is not None
        inputs.append(np.tanh(inputs[-1] @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()))
    last = layers[-1]
    assert last.bias is not None
    scores = np.exp(inputs[-1] @ last.weight.detach().numpy().T + last.bias.detach().numpy())
    e = (scores / scores.sum(1, keepdims=True) - np.eye(5)[y]) / len(y)
    above = [layer.feedback.numpy() for layer in layers[1:]]
    return inputs, [*((1 - h**2) * (e @ b) for h, b in zip(inputs[1:], above, strict=True)), e]


@pytest.mark.parametrize("rule", DIRECT, ids=lambda rule: rule.name)
def test_the_gradients_of_a_dense_net_are_those_of_the_papers_equation(rule: Rule) -> None:
    model, layers = attached(rule)
    x, y = dense_batch()
    inputs, errors = numpy_errors(layers, x.numpy(), y.numpy())
    loss_of(model, x, y).backward()
    for layer, h, error in zip(layers, inputs, errors, strict=True):
        assert layer.weight.grad is not None
        np.testing.assert_allclose(layer.weight.grad.numpy(), error.T @ h, rtol=1e-12, atol=1e-15)


def test_each_layer_of_a_convolutional_net_receives_the_output_error_through_its_own_b() -> None:
    model = conv_net(norm=False).double()
    x, y = batch()
    x = x.double()
    layers = attach(model, DirectFeedbackAlignment(), example=x)
    assert [tuple(layer.feedback.shape) for layer in layers] == [(5, 3, 8, 8), (5, 8, 8, 8), (5, 8, 4, 4), (5, 96)]
    loss_of(model, x, y).backward()
    e = (model(x).softmax(1) - F.one_hot(y, 5)).detach() / len(y)
    hidden = model[:3](x).detach()
    error = torch.einsum("nk,kchw->nchw", e, layers[1].feedback) * (hidden > 0)
    expected = torch.nn.grad.conv2d_weight(x, layers[0].weight.shape, error, padding=1)
    assert layers[0].weight.grad is not None
    torch.testing.assert_close(layers[0].weight.grad, expected)


def test_errors_add_up_where_an_identity_shortcut_begins() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.inner, self.last = nn.Linear(12, 6), nn.Linear(6, 6), nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            h = self.first(x)
            y: Tensor = self.last(h + self.inner(h))
            return y

    torch.manual_seed(0)
    model = Residual().double()
    _, inner, last = attach(model, DirectFeedbackAlignment())
    x, y = dense_batch()
    loss_of(model, x, y).backward()
    e = (model(x).softmax(1) - F.one_hot(y, 5)).detach() / len(y)
    expected = (e @ (inner.feedback + last.feedback)).T @ x
    assert model.first.weight.grad is not None
    torch.testing.assert_close(model.first.weight.grad, expected)


@pytest.mark.parametrize("start", ["normal", "uniform"])
def test_the_error_that_is_sent_has_scale_times_the_size_of_the_output_error(start: str) -> None:
    model = nn.Sequential(nn.Linear(30, 4000), nn.Linear(4000, 10))
    _, layer = attach(model, DirectFeedbackAlignment(start=start, scale=0.5))  # type: ignore[arg-type]
    e = torch.randn(20, 10, generator=torch.Generator().manual_seed(0))
    ratio = (e @ layer.feedback).norm(dim=1) / e.norm(dim=1)
    assert float(ratio.mean()) == pytest.approx(0.5, rel=0.03)
    assert (float(layer.feedback.abs().max()) <= 0.5 * math.sqrt(3 / 4000)) == (start == "uniform")


@pytest.mark.parametrize("rule", DIRECT, ids=lambda rule: rule.name)
def test_the_norm_of_b_is_measured_though_it_has_no_angle_to_w(rule: Rule) -> None:
    model, layers = attached(rule)
    for layer, found in zip(layers, measure_alignment(model, layers, *dense_batch(), F.cross_entropy), strict=True):
        assert math.isnan(found.matrix_angle)
        assert found.norm_ratio == pytest.approx(float(layer.feedback.norm() / layer.weight.detach().norm()))


def test_dkp_updates_b_by_the_product_of_output_error_and_input() -> None:
    model, layers = attached(DirectKolenPollack(feedback_rate=0.5))
    optimizer = sgd(model)
    before = [layer.feedback.clone().numpy() for layer in layers]
    velocity = [np.zeros_like(b) for b in before]
    x, y = dense_batch()
    for _ in range(3):
        inputs, errors = numpy_errors(layers, x.numpy(), y.numpy())
        velocity = [
            MU * v + 0.5 * errors[-1].T @ h + DECAY * b for v, h, b in zip(velocity, inputs, before, strict=True)
        ]
        before = [b - LR * v for b, v in zip(before, velocity, strict=True)]
        optimizer.zero_grad()
        loss_of(model, x, y).backward()
        layers.step(optimizer)
        for layer, b in zip(layers, before, strict=True):
            np.testing.assert_allclose(layer.feedback.numpy(), b, rtol=1e-10, atol=1e-14)


def test_dkp_updates_the_b_of_a_convolution_at_each_channel_and_position() -> None:
    model = conv_net(norm=False).double()
    x, y = batch()
    x = x.double()
    layers = attach(model, DirectKolenPollack(), example=x)
    before, hidden = layers[1].feedback.clone(), model[:3](x).detach()
    e = (model(x).softmax(1) - F.one_hot(y, 5)).detach() / len(y)
    loss_of(model, x, y).backward()
    layers.step(sgd(model))
    expected = (1 - LR * DECAY) * before - LR * torch.einsum("nk,nchw->kchw", e, hidden)
    torch.testing.assert_close(layers[1].feedback.data, expected)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_in_the_last_layer_w_minus_b_shrinks_as_under_kolen_pollack(momentum: float) -> None:
    model, layers = attached(DirectKolenPollack(momentum=momentum))
    optimizer, last = sgd(model, momentum), layers[-1]
    expected = (last.weight - last.feedback).detach()
    velocity = torch.zeros_like(expected)
    for _ in range(20):
        velocity = momentum * velocity + DECAY * expected
        expected = expected - LR * velocity
        optimizer.zero_grad()
        loss_of(model, *dense_batch()).backward()
        layers.step(optimizer)
    torch.testing.assert_close((last.weight - last.feedback).detach(), expected, rtol=1e-10, atol=1e-13)


def test_under_dkp_the_error_below_the_last_layers_turns_towards_backprops() -> None:
    model, layers = attached(DirectKolenPollack())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    x, y = dense_batch()
    before = {name: found.delta for name, found in layers.angles(x, y).items()}
    for _ in range(100):
        optimizer.zero_grad()
        loss_of(model, x, y).backward()
        layers.step(optimizer)
    after = {name: found.delta for name, found in layers.angles(x, y).items()}
    below = [layer.name for layer in layers[:-1]]
    assert all(before[name] > 70 and after[name] < before[name] - 15 for name in below), (before, after)


def test_dkp_adds_the_products_of_all_passes_and_of_a_layer_that_is_called_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.last = nn.Linear(12, 12), nn.Linear(12, 5)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.last(self.inner(torch.tanh(self.inner(x))))
            return y

    torch.manual_seed(0)
    model = Twice().double()
    layers = attach(model, DirectKolenPollack())
    x, y = dense_batch()
    before, product = layers[0].feedback.clone(), torch.zeros_like(layers[0].feedback)
    for one in (x, x.flip(0)):
        h = torch.tanh(model.inner(one)).detach()
        e = (model(one).softmax(1) - F.one_hot(y, 5)).detach() / len(y)
        product += e.T @ (one + h)
        layers[0].cache.clear()
    for one in (x, x.flip(0)):
        loss_of(model, one, y).backward()
    layers.step(torch.optim.SGD(model.parameters(), lr=LR))
    torch.testing.assert_close(layers[0].feedback.data, before - LR * product)


@pytest.mark.parametrize("rule", DIRECT, ids=lambda rule: rule.name)
def test_a_convolution_without_an_example_is_refused_in_one_line_and_the_model_is_unchanged(rule: Rule) -> None:
    model = conv_net()
    before = [(type(module), set(vars(module)), set(module._parameters)) for module in model]
    with pytest.raises(ConfigError, match=f"rule {rule.name} needs the size of .* layer 0, .*: pass example to attach"):
        attach(model, rule)
    assert [(type(module), set(vars(module)), set(module._parameters)) for module in model] == before


@pytest.mark.parametrize("rule", DIRECT, ids=lambda rule: rule.name)
def test_several_positions_per_output_error_are_refused_in_one_line(rule: Rule) -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.last(self.second(self.first(x)).mean(1))
            return y

    model = Pooled()
    attach(model, rule)
    message = r"layer second: there are 2 output errors for an input of shape \(2, 7, 6\), .* leave it to backprop"
    with pytest.raises(ConfigError, match=message):
        model(torch.zeros(2, 7, 4)).sum().backward()


def test_one_output_error_per_position_is_sent_to_that_position() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))
    first, second = attach(model, DirectFeedbackAlignment())
    x, weights = torch.randn(2, 7, 4), torch.randn(2, 7, 3)
    (model(x) * weights).sum().backward()
    assert first.weight.grad is not None
    expected = torch.einsum("nti,ntj->ij", weights @ second.feedback, x)
    torch.testing.assert_close(first.weight.grad, expected)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (DirectFeedbackAlignment, {"scale": 0.0}, "rule.scale is 0.0: it must be above 0"),
        (DirectKolenPollack, {"feedback_rate": -0.1}, "rule.feedback_rate is -0.1: it must be 0 or above"),
        (DirectKolenPollack, {"momentum": 1.0}, r"rule.momentum is 1.0: it must lie in \[0, 1\)"),
    ],
)
def test_a_setting_out_of_range_is_refused(kind: type[Rule], fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**fields)
