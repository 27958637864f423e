"""Training in a custom loop: ``step`` in place of ``optimizer.step()``, and errors where feedback would not learn.

Warnings are errors in these tests, so a loop that must not warn fails if it does.
"""

import copy
import math
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt import ConfigError, FeedbackAlignment, KolenPollack, Rule, SignSymmetry, WeightMirror, attach
from nowt.layers.feedback import Feedback
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.layer_view import LayerView
from nowt.rules.moment import Moment
from tests.support.nets import batch, conv_net, dense_net, normal

X, Y = normal(8, 12), torch.arange(8) % 5


def attached(rule: Rule) -> tuple[nn.Module, Feedback]:
    model = dense_net()
    return model, attach(model, rule, seed=1)


def sgd(model: nn.Module, **fields: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), **{"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, **fields})


def backward(model: nn.Module, scale: float = 1.0) -> None:
    (scale * F.cross_entropy(model(X), Y)).backward()


def differences(feedback: Feedback) -> list[Tensor]:
    return [(layer.weight - layer.feedback).detach().clone() for layer in feedback]


def assert_shrunk(before: list[Tensor], feedback: Feedback, factor: float) -> None:
    for old, new in zip(before, differences(feedback), strict=True):
        torch.testing.assert_close(new, factor * old)


@pytest.mark.parametrize("clip", [None, 1e-3])
@pytest.mark.parametrize("scale", [None, 1024.0])
def test_kp_forgets_the_difference_of_w_and_b_with_clipping_and_scaled_gradients(
    clip: float | None, scale: float | None
) -> None:
    model, feedback = attached(KolenPollack())
    optimizer = sgd(model, lr=0.1, momentum=0.0, weight_decay=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale) if scale else None
    before = differences(feedback)
    loss = F.cross_entropy(model(X), Y)
    (scaler.scale(loss) if scaler else loss).backward()
    feedback.step(optimizer, scaler, clip)
    assert_shrunk(before, feedback, 0.9)


def test_clipping_leaves_out_gradients_that_another_optimizer_trains() -> None:
    model, feedback = attached(KolenPollack())
    other = torch.optim.SGD(list(feedback[2].parameters()), lr=0.1)
    mine = torch.optim.SGD([p for n, p in model.named_parameters() if not n.startswith("4.")], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    scaler.scale(F.cross_entropy(model(X), Y)).backward()
    feedback.step([mine, other], scaler, clip=1e-3)
    for optimizer in (mine, other):
        norm = torch.stack([p.grad.norm() for g in optimizer.param_groups for p in g["params"] if p.grad is not None])
        assert float(norm.norm()) == pytest.approx(1e-3, rel=1e-3)


def test_gradients_that_the_caller_has_unscaled_are_not_unscaled_again() -> None:
    model, feedback = attached(KolenPollack())
    optimizer, scaler = sgd(model), torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(F.cross_entropy(model(X), Y)).backward()
    scaler.unscale_(optimizer)
    gradient = feedback[0].weight.grad
    assert gradient is not None
    expected = gradient.clone()
    feedback.step(optimizer, scaler)
    torch.testing.assert_close(feedback[0].weight.grad, expected)


def test_a_step_that_the_scaler_skips_changes_neither_w_nor_b() -> None:
    model, feedback = attached(KolenPollack())
    before = copy.deepcopy(model.state_dict())
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(F.cross_entropy(model(X * math.inf), Y)).backward()
    feedback.step(sgd(model), scaler)
    scaler.update()
    assert scaler.get_scale() == 4.0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_accumulated_gradients_train_as_one_batch() -> None:
    model, feedback = attached(KolenPollack())
    whole, its = attached(KolenPollack())
    for part in range(2):
        (0.5 * F.cross_entropy(model(X[part::2]), Y[part::2])).backward()
    backward(whole)
    feedback.step(sgd(model))
    its.step(sgd(whole))
    for mine, other in zip(feedback, its, strict=True):
        torch.testing.assert_close(mine.feedback, other.feedback)


def test_an_optimizer_without_b_is_refused() -> None:
    model = dense_net()
    early = sgd(model)
    feedback = attach(model, KolenPollack())
    backward(model)
    with pytest.raises(ConfigError, match=r"the optimizer lacks the feedback weights of layer 0.*after nowt\.attach"):
        feedback.step(early)
    trained = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with pytest.raises(ConfigError, match="requires_grad=False"):
        feedback.step(trained)
    assert feedback.steps == 0


def test_an_optimizer_that_treats_b_differently_from_w_is_refused() -> None:
    model, feedback = attached(KolenPollack())
    groups = [{"params": [p for p in model.parameters() if p.requires_grad]}]
    groups += [{"params": [layer.feedback for layer in feedback], "weight_decay": 0.0}]  # type: ignore[dict-item]
    optimizer = torch.optim.SGD(groups, lr=0.1, weight_decay=0.1)
    with pytest.raises(ConfigError, match=r"layer 0 differently \(weight_decay is 0.1 and 0.0\)"):
        feedback.step(optimizer)


def test_an_optimizer_with_b_but_without_its_w_is_refused() -> None:
    model, feedback = attached(KolenPollack())
    backward(model)
    with pytest.raises(ConfigError, match="has the feedback weights of layer 0, but not its weights"):
        feedback.step(torch.optim.SGD([feedback[0].feedback], lr=0.1))


def test_mirror_mode_runs_before_learning_and_at_its_interval() -> None:
    model, feedback = attached(WeightMirror(warmup=20, interval=2, samples=8))
    assert feedback.angles()["2"].matrix > 60
    feedback.before_learning()
    aligned = feedback.angles()["2"].matrix
    assert aligned < 40
    optimizer = sgd(model)
    versions = []
    for _ in range(4):
        backward(model)
        feedback.step(optimizer)
        versions.append(feedback[0].feedback._version)
    assert versions[0] < versions[1] == versions[2] < versions[3]


def test_a_resumed_loop_continues_the_steps() -> None:
    def loop(steps: int, start: Any = None) -> tuple[nn.Module, Feedback]:
        model, feedback = attached(WeightMirror(warmup=3, interval=2, samples=2))
        if start is not None:
            model.load_state_dict(start[0])
            feedback.load_state_dict(start[1])
        optimizer = sgd(model, momentum=0.0)
        for _ in range(steps):
            optimizer.zero_grad()
            backward(model)
            feedback.step(optimizer)
        return model, feedback

    whole, _ = loop(5)
    model, feedback = loop(2)
    resumed, _ = loop(3, (copy.deepcopy(model.state_dict()), feedback.state_dict()))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)


@pytest.mark.parametrize("form", ["foreach", "fused"])
def test_training_without_the_rules_step_warns_once(form: str) -> None:
    model = dense_net()
    attach(model, KolenPollack())  # what it returns is not used
    optimizer = sgd(model, **{form: True})
    backward(model)
    with pytest.warns(UserWarning, match=r"without its rule kp.*feedback\.step\(optimizer\)"):
        optimizer.step()
    optimizer.step()  # a second warning would be an error


def test_training_without_steps_after_the_work_before_learning_warns() -> None:
    model, feedback = attached(WeightMirror(warmup=2, samples=4, interval=2))
    feedback.before_learning()
    backward(model)
    optimizer = sgd(model)
    for _ in range(2):
        optimizer.step()  # the caller may call rule.after_step next
    with pytest.warns(UserWarning, match="without its rule wm"):
        optimizer.step()


@pytest.mark.parametrize("rule", [SignSymmetry(), WeightMirror(warmup=0, samples=4, interval=2)], ids=lambda r: r.name)
def test_callers_of_a_rule_that_learns_after_the_step_are_not_warned(rule: Rule) -> None:
    model, feedback = attached(rule)
    optimizer = sgd(model)
    for step in range(1, 6):
        backward(model)
        optimizer.step()
        RuleSteps(rule, feedback).after_step(Moment(step, 0))


def test_other_optimizers_and_callers_of_the_rules_methods_are_not_warned() -> None:
    model, feedback = attached(KolenPollack())
    sgd(dense_net()).step()
    optimizer = sgd(model, fused=True)
    backward(model)
    RuleSteps(feedback.rule, feedback).before_step(optimizer, Moment(0, 0))
    optimizer.step()
    RuleSteps(feedback.rule, feedback).after_step(Moment(1, 0))
    backward(model)
    optimizer.step()


def test_a_loop_with_the_rules_step_does_not_warn() -> None:
    for rule in (KolenPollack(), WeightMirror(warmup=0, interval=8)):
        model, feedback = attached(rule)
        optimizer = sgd(model)
        for _ in range(3):
            backward(model, 0.5)  # accumulated
            backward(model, 0.5)
            feedback.step(optimizer)
            optimizer.zero_grad()


def test_rules_with_a_fixed_b_need_no_step_and_do_not_warn() -> None:
    model, _ = attached(FeedbackAlignment())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        backward(model)
        optimizer.step()


def test_copies_of_the_model_are_independent_and_do_not_warn() -> None:
    model, feedback = attached(KolenPollack())
    averaged = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5))
    optimizer = sgd(model)
    for _ in range(2):
        optimizer.zero_grad()
        backward(model)
        feedback.step(optimizer)
        averaged.update_parameters(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        averaged(X)
    assert not torch.equal(averaged.module[0].feedback, feedback[0].feedback)


def test_angles_with_a_batch_include_those_of_the_error_signal() -> None:
    x, y = batch()
    model = conv_net()
    feedback = attach(model, FeedbackAlignment(), example=x)
    found = feedback.angles(x, y)
    assert list(found) == ["0", "3", "6", "9"]
    assert found["9"].delta == 0.0 and found["0"].delta > 1 and found["0"].matrix > 1
    assert math.isnan(feedback.angles()["0"].delta)


def test_the_rule_receives_the_number_of_the_step_and_random_numbers_of_the_seed() -> None:
    seen: list[tuple[int, float]] = []

    @dataclass(frozen=True)
    class Watching(FeedbackAlignment):
        name: ClassVar[str] = "watching"

        def after_step(self, layer: LayerView, step: int) -> None:
            seen.append((step, float(layer.random("example").normal_(torch.zeros(1)))))

    for seed in (0, 0, 1):
        model = dense_net((12, 5))
        feedback = attach(model, Watching(), seed=seed)
        for _ in range(2):
            backward(model)
            feedback.step(sgd(model))
    (first, second), again, other = seen[:2], seen[2:4], seen[4:]
    assert [step for step, _ in seen] == [1, 2] * 3
    assert [first, second] == again and first[1] != second[1] and other[0][1] != first[1]
