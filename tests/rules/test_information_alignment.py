"""Information alignment: B's update from a layer's own activity, its fixed point, and its settings."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.layers.alignment import angle
from nowt.layers.attach import attach
from nowt.layers.feedback import Feedback
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.information_alignment import InformationAlignment
from nowt.rules.moment import Moment


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def white(samples: int, units: int) -> Tensor:
    """Inputs with mean 0 and ⟨x xᵀ⟩ = I exactly."""
    centred = normal(samples, units)
    centred = centred - centred.mean(0)
    q, _ = torch.linalg.qr(centred)
    return q * samples**0.5


def attached(layer: nn.Module, rule: InformationAlignment, x: Tensor) -> tuple[FeedbackLayer, Feedback]:
    found = attach(nn.Sequential(layer).double(), rule, example=x)
    return found[0], found


def observed_steps(layer: FeedbackLayer, rule: InformationAlignment, x: Tensor, steps: int) -> None:
    """Show the layer's activity to the rule, without a change of W."""
    for step in range(1, steps + 1):
        layer(x)
        RuleSteps(rule, [layer]).after_step(Moment(step, 0))


def test_one_step_of_a_dense_layer_is_the_papers_update() -> None:
    rule = InformationAlignment(eta=0.03, amp=1.5, null=0.7, decay=0.2, center=False)
    x = normal(9, 6)
    layer, _ = attached(nn.Linear(6, 4), rule, x)
    b, inputs, outputs = layer.feedback.clone().numpy(), x.numpy(), layer(x).detach().numpy()
    layer.cache.clear()
    observed_steps(layer, rule, x, 1)
    amp, null = outputs.T @ inputs / 9, outputs.T @ outputs / 9 @ b
    np.testing.assert_allclose(layer.feedback.numpy(), b + 0.03 * (1.5 * amp - 0.7 * null - 0.2 * b), rtol=1e-12)


def test_a_step_descends_the_gradient_of_the_three_primitives_in_a_convolution() -> None:
    rule = InformationAlignment(eta=0.01)
    x = normal(5, 4, 6, 6)
    layer, _ = attached(nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), rule, x)
    b = layer.feedback.detach().clone().requires_grad_()
    y = layer(x).detach()
    layer.cache.clear()
    centred = x - x.mean((0, 2, 3), keepdim=True)
    centred_y = y - y.mean((0, 2, 3), keepdim=True)
    sent = F.conv_transpose2d(centred_y, b, stride=2, padding=1, output_padding=1, groups=2)
    positions = 5 * 3 * 3
    amp = -(F.conv2d(centred, b, stride=2, padding=1, groups=2) * centred_y).sum() / positions
    loss = amp + 0.5 * sent.square().sum() / 2 / positions + 0.5 * b.square().sum() / 2
    (gradient,) = torch.autograd.grad(loss, b)
    observed_steps(layer, rule, x, 1)
    torch.testing.assert_close(layer.feedback.data, (b - 0.01 * gradient).detach())


def test_with_white_inputs_b_converges_to_the_fixed_point_and_its_angle_to_w_falls() -> None:
    rule = InformationAlignment(eta=0.1, amp=1.5, null=0.3, decay=0.6)
    x = white(200, 12)
    layer, _ = attached(nn.Linear(12, 7), rule, x)
    w = layer.weight.detach()
    angles = [angle(layer.feedback, w)]
    for _ in range(4):
        observed_steps(layer, rule, x, 5)
        angles.append(angle(layer.feedback, w))
    assert all(after < before for before, after in pairwise(angles)) and angles[0] > 75 and angles[-1] < 25, angles
    observed_steps(layer, rule, x, 400)
    assert angle(layer.feedback, w) < 15
    fixed = 1.5 * torch.linalg.solve(0.3 * w @ w.T + 0.6 * torch.eye(7, dtype=w.dtype), w)
    torch.testing.assert_close(layer.feedback.data, fixed, rtol=1e-8, atol=1e-10)


def test_for_orthogonal_rows_the_fixed_point_is_a_multiple_of_w() -> None:
    rule = InformationAlignment(eta=0.1)
    plain = nn.Linear(12, 7)
    nn.init.orthogonal_(plain.weight, generator=torch.Generator().manual_seed(0))
    x = white(200, 12)
    layer, _ = attached(plain, rule, x)
    observed_steps(layer, rule, x, 400)
    torch.testing.assert_close(layer.feedback.data, layer.weight.detach(), rtol=1e-5, atol=1e-6)  # 1 / (0.5 + 0.5)


def test_centring_removes_the_means_of_inputs_and_outputs() -> None:
    shifted, plain = (InformationAlignment(eta=0.1, center=center) for center in (True, False))
    x = white(200, 12)
    results = []
    for rule, shift in ((shifted, 3.0), (plain, 0.0)):
        net = nn.Linear(12, 7, bias=False)
        nn.init.orthogonal_(net.weight, generator=torch.Generator().manual_seed(0))
        layer, _ = attached(net, rule, x)
        observed_steps(layer, rule, x + shift, 5)
        results.append(layer.feedback.data)
    torch.testing.assert_close(*results)


def test_the_passes_of_a_step_count_like_one_batch() -> None:
    rule = InformationAlignment(center=False)
    x = normal(8, 6)
    results = []
    for parts in ([x], [x[:4], x[4:]]):
        torch.manual_seed(0)
        layer, feedback = attached(nn.Linear(6, 4), rule, x)
        for part in parts:
            feedback.model(part).sum().backward()
        feedback.step(torch.optim.SGD(feedback.model.parameters(), lr=0.0))
        results.append(layer.feedback.data)
    torch.testing.assert_close(*results)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"eta": 0.0}, "rule.eta is 0.0: it must be above 0"),
        ({"amp": -1.0}, "rule.amp is -1.0: it must be above 0"),
        ({"null": -0.5}, "rule.null is -0.5: it must be 0 or above"),
        ({"decay": -0.5}, "rule.decay is -0.5: it must be 0 or above"),
    ],
)
def test_a_setting_out_of_range_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InformationAlignment(**fields)
