"""The built-in metrics equal their formulas, and leave network and random state unchanged."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.evaluation.probes.metrics.cka import cka, kernel, kernels
from nowt.evaluation.probes.metrics.cka import measure as cka_of
from nowt.evaluation.probes.metrics.gradient_cosine import measure as gradient_cosine
from nowt.evaluation.probes.metrics.weight_change import measure as weight_change
from nowt.layers.attach import attach
from nowt.rules.registry import find_rule
from tests.support.nets import attached, batch, conv_net, dense_net, normal


def cosine(a: Tensor, b: Tensor) -> float:
    return float((a.flatten() @ b.flatten() / (a.norm() * b.norm())).detach())


def test_gradient_cosine_is_1_under_backprop() -> None:
    model, _ = attached(conv_net(), find_rule("bp")())
    found = gradient_cosine(model, *batch(), F.cross_entropy)
    assert set(found) == {"all", "0", "3", "6", "9"}
    assert list(found.values()) == pytest.approx([1.0] * 5, abs=1e-12)


def test_gradient_cosine_is_1_if_b_equals_w() -> None:
    model, layers = attached(conv_net(), find_rule("fa")())
    assert max(gradient_cosine(model, *batch(), F.cross_entropy)[name] for name in ("0", "3", "6")) < 0.9
    for layer in layers:
        layer.feedback.data.copy_(layer.weight)
    assert gradient_cosine(model, *batch(), F.cross_entropy)["all"] == pytest.approx(1.0, abs=1e-6)


def test_gradient_cosine_under_fa_equals_the_equations_of_the_paper() -> None:
    model, layers = attached(dense_net().double(), find_rule("fa")())
    x, y = normal(8, 12, seed=1, dtype=torch.float64), torch.arange(8) % 5
    w = [layer.weight.detach().clone() for layer in layers]
    a1 = torch.tanh(x @ w[0].T + layers[0].bias)  # type: ignore[operator]
    a2 = torch.tanh(a1 @ w[1].T + layers[1].bias)  # type: ignore[operator]
    output = a2 @ w[2].T + layers[2].bias  # type: ignore[operator]
    error = (torch.softmax(output, 1) - F.one_hot(y, 5)) / len(y)

    def gradient(back: list[Tensor]) -> list[Tensor]:
        """Lillicrap et al. (2016): δ_l = (B δ_{l+1}) ⊙ φ'."""
        d2 = (error @ back[2]) * (1 - a2**2)
        d1 = (d2 @ back[1]) * (1 - a1**2)
        return [d1.T @ x, d2.T @ a1, error.T @ a2]

    ours, theirs = gradient([layer.feedback for layer in layers]), gradient(w)
    found = gradient_cosine(model, x, y, F.cross_entropy)
    by_layer = [cosine(a, b) for a, b in zip(ours, theirs, strict=True)]
    assert [found[name] for name in ("0", "2", "4")] == pytest.approx(by_layer, abs=1e-9)
    whole = cosine(torch.cat([g.flatten() for g in ours]), torch.cat([g.flatten() for g in theirs]))
    assert found["all"] == pytest.approx(whole, abs=1e-9) and whole < 0.95


def test_gradient_cosine_of_a_dead_network_is_undefined() -> None:
    model, layers = attached(nn.Sequential(nn.Linear(12, 7), nn.Tanh(), nn.Linear(7, 5)), find_rule("fa")())
    with torch.no_grad():
        layers[0].bias.fill_(1e6)  # type: ignore[union-attr]  # saturated: no error passes
    found = gradient_cosine(model, normal(8, 12), torch.arange(8) % 5, F.cross_entropy)
    assert found["2"] == pytest.approx(1.0) and math.isnan(found["0"]) and math.isnan(found["all"])


def test_weight_change_is_0_initially_and_a_half_after_scaling_weights_by_1_5() -> None:
    start, _ = attached(conv_net(), find_rule("kp")())
    model = copy.deepcopy(start)
    assert weight_change(model, start) == {"all": 0.0, "0": 0.0, "3": 0.0, "6": 0.0, "9": 0.0}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5 if parameter.dim() > 1 else 7.0)  # biases and γ are not counted
    assert weight_change(model, start) == pytest.approx({"all": 0.5, "0": 0.5, "3": 0.5, "6": 0.5, "9": 0.5})


def test_weight_change_of_the_network_is_the_ratio_of_norms_over_all_layers() -> None:
    start = dense_net()
    model = copy.deepcopy(start)
    with torch.no_grad():
        for number, weight in enumerate(p for p in model.parameters() if p.dim() > 1):
            weight.add_(normal(*weight.shape, seed=number) * (1 + number))
    before, after = (torch.cat([p.detach().flatten() for p in m.parameters() if p.dim() > 1]) for m in (start, model))
    found = weight_change(model, start)
    assert found["all"] == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-6)
    assert found["2"] != pytest.approx(found["all"], rel=1e-3)


def test_weight_change_is_undefined_for_a_layer_initialized_at_0() -> None:
    start = nn.Sequential(nn.Linear(3, 2))
    nn.init.zeros_(start[0].weight)  # type: ignore[arg-type]
    assert str(weight_change(nn.Sequential(nn.Linear(3, 2)), start)["0"]) == "nan"


def biased(x: Tensor, y: Tensor) -> float:
    """Kornblith et al. (2019), section 3: ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) of centred columns."""
    x, y = x - x.mean(0), y - y.mean(0)
    return float((y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm()))


def unbiased(x: Tensor, y: Tensor) -> float:
    """The same ratio with HSIC₁ of Nguyen, Raghu and Kornblith (2021), equation 3, term by term."""

    def hsic(k: Tensor, l: Tensor) -> float:  # noqa: E741  (the paper's letter)
        n, one = len(k), torch.ones(len(k), dtype=k.dtype)
        k, l = k - torch.diag(k.diag()), l - torch.diag(l.diag())  # noqa: E741
        middle = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
        return float((torch.trace(k @ l) + middle - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3)))

    k, l = x @ x.T, y @ y.T  # noqa: E741
    return float(hsic(k, l) / (hsic(k, k) * hsic(l, l)) ** 0.5)


def linear(x: Tensor, y: Tensor) -> float:
    return cka(kernel(x), kernel(y))


def related(n: int, p: int, q: int) -> tuple[Tensor, Tensor]:
    """Two correlated representations, with means that are not 0."""
    x = normal(n, p, seed=1, dtype=torch.float64) + 3
    return x, x @ normal(p, q, seed=2, dtype=torch.float64) + 2 * normal(n, q, seed=3, dtype=torch.float64) - 1


@pytest.mark.parametrize(("n", "p", "q"), [(4, 3, 2), (9, 5, 20), (40, 200, 10)])
def test_cka_equals_the_ratio_of_unbiased_hsic_estimates(n: int, p: int, q: int) -> None:
    x, y = related(n, p, q)
    assert linear(x, y) == pytest.approx(unbiased(x, y), abs=1e-10)


def test_cka_of_many_images_equals_the_biased_formula() -> None:
    x, y = related(1000, 6, 5)
    assert 0.2 < biased(x, y) < 0.9
    assert linear(x, y) == pytest.approx(biased(x, y), abs=5e-3)


def test_cka_is_invariant_to_rotation_reflection_scale_and_shift() -> None:
    x, y = related(50, 30, 40)
    turn = torch.linalg.qr(normal(30, 30, seed=4, dtype=torch.float64)).Q
    for other in (x, x @ turn, -x, 0.01 * x, x + 5.0, 7 * x @ turn.T - 2):
        assert linear(x, other) == pytest.approx(1.0, abs=1e-9)
    assert linear(y, 3 * x @ turn) == pytest.approx(linear(y, x), abs=1e-9) == linear(x, y)


def test_cka_is_not_invariant_to_every_invertible_map() -> None:
    x, _ = related(50, 30, 40)
    stretch = torch.diag(torch.logspace(-2, 2, 30, dtype=torch.float64))
    assert linear(x, x @ stretch) < 0.5


def test_cka_of_unrelated_wide_representations_is_near_0() -> None:
    x, y = (normal(20, 4000, seed=seed, dtype=torch.float64) for seed in (5, 6))
    assert abs(linear(x, y)) < 0.25  # its deviation over draws is about √(2 / (n (n − 3))) = 0.08
    assert biased(x, y) > 0.9  # the biased estimate is misleading here


def test_a_kernel_covers_the_complete_feature_map_if_computed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nowt.evaluation.probes.metrics.cka.BLOCK", 7)
    model, x = conv_net().eval(), batch()[0]
    found = kernels(model, x)
    maps = model[0](x).detach().double().flatten(1)
    assert list(found) == ["0", "3", "6", "9"]
    assert torch.allclose(found["0"], maps @ maps.T, rtol=1e-12)


def test_cka_compares_layers_by_name() -> None:
    one, other, x = conv_net(0), conv_net(1), batch()[0]
    assert cka_of(one, copy.deepcopy(one), x) == pytest.approx(dict.fromkeys(("0", "3", "6", "9"), 1.0))
    assert cka_of(one, other, x)["9"] < 0.99
    with pytest.raises(ValueError, match="no layer of the same name"):
        cka_of(one, nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), x)
    with pytest.raises(ValueError, match="needs at least 4 images, got 3"):
        cka_of(one, other, x[:3])


def test_cka_of_a_constant_representation_is_undefined() -> None:
    constant = torch.ones(10, 3, dtype=torch.float64)
    assert str(linear(constant, normal(10, 3, dtype=torch.float64))) == "nan"


METRICS: dict[str, Callable[[nn.Module], object]] = {
    "gradient_cosine": lambda model: gradient_cosine(model, *batch(), F.cross_entropy),
    "weight_change": lambda model: weight_change(model, model),
    "cka": lambda model: cka_of(model, model, batch()[0]),
}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_changes_neither_network_nor_random_state(name: str) -> None:
    model = nn.Sequential(*conv_net(), nn.Dropout(0.5))
    layers = attach(model, find_rule("kp")(), quiet=True)
    model.train()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    state, generator = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    first = METRICS[name](model)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(layer.use_backprop or layer._forward_hooks for layer in layers)
    assert METRICS[name](model) == first
