"""The optimizer: parameter groups, schedule and clipping, and how it trains B under kp."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from nowt.config.run_config import OptimConfig
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.moment import Moment
from nowt.rules.registry import find_rule
from nowt.training.optimizer import FusedSGD, build_optimizer, clip_gradients, parameter_groups, set_learning_rate
from nowt.training.schedule import learning_rate
from tests.support.config_errors import config_error
from tests.support.nets import EVERY_RULE, attached, batch, conv_net, gradients, rule_id

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.0},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "adamw": {"name": "adamw", "lr": 0.01},
}


def kp_net() -> tuple[nn.Module, list[FeedbackLayer]]:
    """A convolutional network under kp, in float64."""
    return attached(conv_net().double(), find_rule("kp")())


def step(
    model: nn.Module,
    layers: list[FeedbackLayer],
    optimizer: torch.optim.Optimizer,
    max_norm: float | None = None,
) -> None:
    """Do one step under kp, with gradients clipped to the norm ``max_norm``."""
    x, y = batch(dtype=torch.float64)
    for name, gradient in gradients(model, x, y).items():
        model.get_parameter(name).grad = gradient
    clip_gradients(model, max_norm)
    rule = layers[0].rule
    RuleSteps(rule, layers).before_step(optimizer, Moment(0, 0))
    optimizer.step()
    RuleSteps(rule, layers).after_step(Moment(1, seed=0))


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains_b_and_without_weight_decay_by_the_same_step_as_w(name: str, decay: float) -> None:
    model, layers = kp_net()
    optimizer = build_optimizer(OptimConfig(weight_decay=decay, **OPTIMIZERS[name]), model, layers)
    for _ in range(5):
        old = [(layer.weight.detach().clone(), layer.feedback.clone()) for layer in layers]
        step(model, layers, optimizer)
        for layer, (weight, feedback) in zip(layers, old, strict=True):
            assert not torch.equal(layer.feedback, feedback)
            if decay == 0:
                torch.testing.assert_close(layer.feedback - feedback, layer.weight.detach() - weight)


@pytest.mark.parametrize("form", [{"foreach": True}, {"foreach": False}, {"fused": True}, {}], ids=str)
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("kind", ["nesterov", "momentum", "adamw"])
def test_no_implementation_of_an_optimizer_applies_a_shared_gradient_twice(
    kind: str, form: dict[str, bool], decay: float
) -> None:
    def trained(form: dict[str, bool], shared: bool) -> list[torch.Tensor]:
        model, layers = kp_net()
        weights = [p for p in model.parameters() if p.requires_grad] + [layer.feedback for layer in layers]
        options = {"lr": 0.05, "weight_decay": decay, **form}
        optimizer = (
            torch.optim.AdamW(weights, **options)  # type: ignore[arg-type]
            if kind == "adamw"
            else torch.optim.SGD(weights, momentum=0.9, nesterov=kind == "nesterov", **options)  # type: ignore[arg-type]
        )
        for _ in range(4):
            if shared:
                step(model, layers, optimizer)
            else:
                step_with_copied_gradients(model, layers, optimizer)
        return [p.detach() for p in model.parameters()]

    for found, expected in zip(trained(form, True), trained({"foreach": False}, False), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-8)


def step_with_copied_gradients(model: nn.Module, layers: list[FeedbackLayer], optimizer: torch.optim.Optimizer) -> None:
    x, y = batch(dtype=torch.float64)
    for name, gradient in gradients(model, x, y).items():
        model.get_parameter(name).grad = gradient
    for layer in layers:
        assert layer.weight.grad is not None
        layer.feedback.grad = layer.weight.grad.clone()
    optimizer.step()


@pytest.mark.parametrize("max_norm", [0.01, 0.5, 1e6])
def test_clipping_excludes_b_from_the_norm_and_scales_w_and_b_the_same_way(max_norm: float) -> None:
    plain, (x, y) = conv_net().double(), batch(dtype=torch.float64)
    model, layers = kp_net()
    unclipped = gradients(model, x, y)
    norm = math.sqrt(sum(float(g.square().sum()) for g in unclipped.values()))
    assert len(unclipped) == len(list(plain.parameters()))
    seen = {}

    class RecordingSGD(torch.optim.SGD):
        def step(self) -> None:  # type: ignore[override]
            seen.update({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})

    step(model, layers, RecordingSGD(model.parameters()), max_norm)
    factor = min(1.0, max_norm / norm)
    for name, gradient in unclipped.items():
        torch.testing.assert_close(seen[name], factor * gradient, rtol=1e-4, atol=0)
    for layer in layers:
        assert torch.equal(seen[f"{layer.name}.feedback"], seen[f"{layer.name}.weight"])


def test_without_clip_gradients_are_unchanged() -> None:
    model, _ = kp_net()
    parameters = [p for p in model.parameters() if p.requires_grad]
    for p in parameters:
        p.grad = torch.full_like(p, 100.0)
    clip_gradients(model, None)
    assert all(p.grad is not None and (p.grad == 100).all() for p in parameters)


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("rule", [find_rule("bp")(), *EVERY_RULE], ids=rule_id)
def test_norms_and_biases_have_weight_decay_only_if_configured(rule: Rule, everything: bool) -> None:
    model, layers = attached(conv_net(), rule)
    config = OptimConfig(weight_decay=0.01, decay_norms_and_biases=everything)
    names = {id(p): name for name, p in model.named_parameters()}
    decays = {
        names[id(p)]: group["weight_decay"]
        for group in parameter_groups(config, model, layers)
        for p in group["params"]  # type: ignore[attr-defined]
    }
    small = {name: p for name, p in conv_net().named_parameters() if p.dim() == 1}
    assert all(decays.pop(name) == (0.01 if everything else 0.0) for name in small)
    weights = {"0.weight", "3.weight", "6.weight", "9.weight"}
    trained = {f"{layer.name}.feedback" for layer in layers} if rule.name == "kp" else set()
    assert decays == dict.fromkeys(weights | trained, 0.01)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_norms_and_biases_have_their_own_learning_rate_if_configured(name: str) -> None:
    def moved(factor: float) -> dict[str, torch.Tensor]:
        model, layers = kp_net()
        config = OptimConfig(lr_factor_norms_and_biases=factor, weight_decay=0.0, **OPTIMIZERS[name])
        optimizer = build_optimizer(config, model, layers)
        set_learning_rate(optimizer, 0.1)
        before = {key: p.detach().clone() for key, p in model.named_parameters()}
        step(model, layers, optimizer)
        return {key: p.detach() - before[key] for key, p in model.named_parameters()}

    plain, slow = moved(1.0), moved(0.25)
    for key, change in plain.items():
        torch.testing.assert_close(slow[key], change * (0.25 if change.dim() == 1 else 1.0))


def test_a_learning_rate_for_norms_and_biases_is_refused_if_there_are_none() -> None:
    model, layers = attached(nn.Sequential(nn.Linear(3, 2, bias=False)), find_rule("fa")())
    assert config_error(lambda: build_optimizer(OptimConfig(lr_factor_norms_and_biases=0.5), model, layers)) == (
        "optim.lr_factor_norms_and_biases is 0.5, but the model has no biases and no batch norm: leave it out"
    )


def test_the_optimizer_of_an_earlier_checkpoint_resumes() -> None:
    model, layers = kp_net()
    optimizer = build_optimizer(OptimConfig(), model, layers)
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        del group["lr_factor"]
    optimizer.load_state_dict(state)
    set_learning_rate(optimizer, 0.3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.3, 0.3]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_zero_gradients_weights_shrink_by_exactly_their_weight_decay(name: str) -> None:
    model, layers = kp_net()
    config = OptimConfig(weight_decay=0.1, **OPTIMIZERS[name])
    optimizer = build_optimizer(config, model, layers)
    old = copy.deepcopy(model.state_dict())
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    first = 1 - config.lr * 0.1 * (1.9 if config.nesterov else 1.0)
    for key, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), old[key] * (first if p.dim() > 1 else 1.0))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizer_has_the_configured_class_and_settings(name: str) -> None:
    model, layers = kp_net()
    optimizer = build_optimizer(OptimConfig(**OPTIMIZERS[name]), model, layers)
    group = optimizer.param_groups[0]
    assert type(optimizer) is (torch.optim.AdamW if name == "adamw" else FusedSGD)
    if name == "adamw":
        assert group["betas"] == (0.9, 0.999)
    else:
        assert (group["momentum"], group["nesterov"]) == (0.0 if name == "sgd" else 0.9, name == "nesterov")
    set_learning_rate(optimizer, 0.123)
    assert [g["lr"] for g in optimizer.param_groups] == [0.123, 0.123]


def test_a_saved_optimizer_resumes_with_the_same_results() -> None:
    def run(saved_after: int | None) -> list[torch.Tensor]:
        model, layers = kp_net()
        optimizer = build_optimizer(OptimConfig(), model, layers)
        for k in range(4):
            step(model, layers, optimizer)
            if k == saved_after:
                state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
                model, layers = kp_net()
                optimizer = build_optimizer(OptimConfig(), model, layers)
                model.load_state_dict(state[0])
                optimizer.load_state_dict(state[1])
        return [p.detach() for p in model.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(run(None), run(1), strict=True))


def rates(steps: int = 10, epochs: int = 4, **fields: Any) -> list[float]:
    """Return η of every step of ``epochs`` epochs of ``steps`` steps, for lr = 2."""
    config = OptimConfig(lr=2.0, **fields)
    return [learning_rate(config, k, steps, epochs) for k in range(steps * epochs)]


def test_a_constant_schedule_keeps_the_learning_rate() -> None:
    assert rates(schedule="constant") == [2.0] * 40


def test_a_step_schedule_reduces_the_learning_rate_at_each_milestone() -> None:
    found = rates(schedule="step", milestones=(1, 2.5))
    assert found == pytest.approx([2.0] * 10 + [0.2] * 15 + [0.02] * 15)
    assert rates(schedule="step", milestones=(3, 1), gamma=0.5) == [2.0] * 10 + [1.0] * 20 + [0.5] * 10


def test_a_cosine_schedule_falls_from_the_learning_rate_to_0() -> None:
    assert rates(schedule="cosine") == pytest.approx([1 + math.cos(math.pi * k / 40) for k in range(40)])


def test_warm_up_rises_linearly_to_the_learning_rate() -> None:
    rise = [2.0 * (k + 1) / 20 for k in range(20)]
    assert rates(schedule="constant", warmup=2) == pytest.approx(rise + [2.0] * 20)
    assert rates(schedule="constant", warmup=0.5)[:6] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 2.0])


def test_a_cosine_schedule_starts_after_warm_up() -> None:
    rise = [2.0 * (k + 1) / 10 for k in range(10)]
    fall = [1 + math.cos(math.pi * k / 30) for k in range(30)]
    assert rates(schedule="cosine", warmup=1) == pytest.approx(rise + fall)
    only_rise = [2.0 * (k + 1) / 40 for k in range(40)]
    assert rates(schedule="cosine", warmup=4) == pytest.approx(only_rise)


def test_a_step_schedule_also_applies_during_warm_up() -> None:
    found = rates(schedule="step", milestones=(1,), warmup=2)
    assert found[9:12] == pytest.approx([1.0, 0.2 * 11 / 20, 0.2 * 12 / 20])


@pytest.mark.parametrize("fields", [{"momentum": 0.0}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}], ids=str)
@pytest.mark.parametrize("last", [True, False], ids=["channels_last", "contiguous"])
def test_sgd_is_that_of_torch_bit_for_bit_in_every_memory_format(fields: dict[str, Any], last: bool) -> None:
    form = torch.channels_last if last else torch.contiguous_format
    drawn = torch.Generator().manual_seed(0)
    start = [torch.randn(7, 5, 3, 2, generator=drawn).contiguous(memory_format=form), torch.randn(9, generator=drawn)]
    ours, theirs = ([nn.Parameter(value.clone()) for value in start] for _ in range(2))
    settings = {"lr": 0.1, "weight_decay": 0.01, "fused": True, **fields}
    optimizers = FusedSGD(ours, **settings), torch.optim.SGD(theirs, **settings)
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=drawn).to(
                memory_format=form if one.dim() == 4 else torch.contiguous_format
            )
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    assert all(map(torch.equal, ours, theirs))
    for one, other in zip(ours, theirs, strict=True):
        kept, expected = (o.state[p].get("momentum_buffer") for o, p in zip(optimizers, (one, other), strict=True))
        assert (kept is None) == (expected is None)
        assert kept is None or (torch.equal(kept, expected) and kept.stride() == expected.stride())


def test_sgd_copies_no_weights_in_channels_last() -> None:
    weight = nn.Parameter(torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last))
    optimizer = FusedSGD([weight], lr=0.1, momentum=0.9, fused=True)
    for _ in range(2):
        weight.grad = torch.ones_like(weight)
        with torch.profiler.profile() as profile:
            optimizer.step()
    assert "aten::clone" not in {event.key for event in profile.key_averages()}
