"""In a custom loop: W and B receive the same updates or the user hears of it, and an iteration counts once."""

import copy
import io
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nowt import Backprop, ConfigError, FeedbackAlignment, KolenPollack, Rule, WeightMirror, attach
from nowt.layers.feedback import Feedback
from tests.support.nets import dense_net, normal

X, Y = normal(8, 12), torch.arange(8) % 5


def attached(rule: Rule) -> tuple[nn.Module, Feedback]:
    model = dense_net()
    return model, attach(model, rule, seed=1)


def backward(model: nn.Module) -> None:
    F.cross_entropy(model(X), Y).backward()


@pytest.mark.parametrize("rule", [KolenPollack(), FeedbackAlignment()], ids=["kp", "fa"])
def test_a_layer_that_was_replaced_after_attaching_is_named(rule: Rule) -> None:
    model, feedback = attached(rule)
    model[4] = nn.Linear(model[4].in_features, 5)  # type: ignore[index, operator]
    backward(model)
    for call in (lambda: feedback.step(torch.optim.SGD(model.parameters())), lambda: feedback.angles(X, Y)):
        with pytest.raises(ConfigError, match=r"layer 4 is no longer part of the model.*before nowt\.attach"):
            call()


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adagrad", "NAdam"])
def test_an_optimizer_that_normalizes_weight_decay_warns_once(name: str) -> None:
    model, feedback = attached(KolenPollack())
    optimizer = getattr(torch.optim, name)(model.parameters(), weight_decay=0.1)
    backward(model)
    with pytest.warns(UserWarning, match=f"{name} normalizes the weight decay"):
        feedback.step(optimizer)
    feedback.step(optimizer)  # a second warning would be an error


@pytest.mark.parametrize("settings", [{"momentum": 0.9}, {}], ids=str)
def test_feedback_weights_cannot_join_an_optimizer_whose_momentum_has_moved_w(settings: dict[str, float]) -> None:
    model = dense_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **settings)
    backward(model)
    optimizer.step()  # before the rule is attached
    feedback = attach(model, KolenPollack(), seed=1)
    optimizer.add_param_group({"params": [layer.feedback for layer in feedback]})
    if settings:
        with pytest.raises(ConfigError, match=r"layer 0 before without its feedback weights.*create a new optimizer"):
            feedback.step(optimizer)
    else:
        feedback.step(optimizer)  # without momentum, the updates are the same


def forgetting(name: str, **fields: Any) -> float:
    """Return what is left of W - B after 20 steps."""
    model, feedback = attached(KolenPollack())
    before = feedback[0].weight.detach() - feedback[0].feedback.detach()
    optimizer = getattr(torch.optim, name)(model.parameters(), **fields)
    for _ in range(20):
        optimizer.zero_grad()
        backward(model)
        feedback.step(optimizer)
    after = feedback[0].weight.detach() - feedback[0].feedback.detach()
    torch.testing.assert_close(after / after.norm(), before / before.norm(), rtol=1e-3, atol=1e-4)
    return float(after.norm() / before.norm())


@pytest.mark.parametrize(
    ("name", "fields", "left"),
    [
        ("AdamW", {"lr": 0.01, "weight_decay": 1.0}, 0.99**20),
        ("NAdam", {"lr": 0.01, "weight_decay": 1.0, "decoupled_weight_decay": True}, 0.99**20),
        ("SGD", {"lr": 0.01, "weight_decay": 1.0}, 0.99**20),
        ("Adam", {"lr": 0.01}, 1.0),
        ("RMSprop", {"lr": 0.01}, 1.0),
    ],
)
def test_optimizers_without_a_warning_keep_the_law_of_kolen_and_pollack(
    name: str, fields: dict[str, Any], left: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert forgetting(name, **fields) == pytest.approx(left, rel=1e-3)


@pytest.mark.parametrize("name", ["Adafactor", "LBFGS"])
def test_an_optimizer_that_cannot_update_b_as_w_is_refused(name: str) -> None:
    model, feedback = attached(KolenPollack())
    backward(model)
    with pytest.raises(ConfigError, match=f"{name} .*: use SGD or AdamW"):
        feedback.step(getattr(torch.optim, name)(model.parameters()))
    assert feedback.steps == 0


def test_an_unknown_optimizer_warns() -> None:
    class Own(torch.optim.Optimizer):
        def __init__(self, parameters: Any) -> None:
            super().__init__(parameters, {})

        def step(self, closure: Any = None) -> None:
            pass

    model, feedback = attached(KolenPollack())
    backward(model)
    with pytest.warns(UserWarning, match="nowt does not know how Own computes an update"):
        feedback.step(Own(model.parameters()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_kp_refuses_weights_in_half_precision(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match="keep W in float32"):
        attach(dense_net().to(dtype), KolenPollack())
    model, feedback = attached(KolenPollack())
    model.to(dtype)
    with pytest.raises(ConfigError, match="keep W in float32"):
        feedback.step(torch.optim.SGD(model.parameters()))


def halves(feedback: Feedback) -> list[torch.optim.Optimizer]:
    groups = [feedback[0].parameters(), [p for layer in feedback[1:] for p in layer.parameters()]]
    return [torch.optim.SGD(list(group), lr=0.1) for group in groups]


def test_two_optimizers_in_one_iteration_are_one_step() -> None:
    model, feedback = attached(WeightMirror(warmup=0, interval=2, samples=2))
    optimizers, mirrored = halves(feedback), []
    for _ in range(4):
        backward(model)
        before = feedback[0].feedback._version
        feedback.step(optimizers)
        mirrored.append(feedback[0].feedback._version != before)
    assert feedback.steps == 4 and sum(mirrored) == 2


def test_a_second_call_for_the_same_iteration_is_refused() -> None:
    model, feedback = attached(WeightMirror(warmup=0, interval=2, samples=2))
    first, second = halves(feedback)
    for zeroed in (False, True):
        backward(model)
        feedback.step(first)
        if zeroed:
            first.zero_grad()
        with pytest.raises(ConfigError, match=r"count it twice: .*feedback\.step\(\[a, b\]\)"):
            feedback.step(second)
        model.zero_grad()


@pytest.mark.parametrize("to_none", [True, False])
def test_optimizers_of_different_iterations_may_take_turns(to_none: bool) -> None:
    model, feedback = attached(FeedbackAlignment())
    for optimizer in halves(feedback) * 3:
        for one in halves(feedback):
            one.zero_grad(set_to_none=to_none)
        backward(model)
        feedback.step(optimizer, clip=1.0)
    assert feedback.steps == 6


def test_a_step_that_fails_leaves_no_gradient_on_b() -> None:
    model, feedback = attached(KolenPollack())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("out of memory")))
    backward(model)
    with pytest.raises(RuntimeError, match="out of memory"):
        feedback.step(optimizer)
    assert feedback.steps == 0 and all(layer.feedback.grad is None for layer in feedback)


def test_angles_of_inputs_without_targets_are_refused() -> None:
    _, feedback = attached(FeedbackAlignment())
    with pytest.raises(ConfigError, match=r"needs targets y as well: call angles\(x, y\)"):
        feedback.angles(X)
    with pytest.raises(ConfigError, match="needs inputs x as well"):
        feedback.angles(y=Y)


def reloaded(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    found: nn.Module = torch.load(file, weights_only=False)
    return found


def unrelated(model: nn.Module) -> nn.Module:
    return dense_net()


@pytest.mark.parametrize("other", [copy.deepcopy, reloaded, unrelated])
@pytest.mark.parametrize(
    "rule", [KolenPollack(), FeedbackAlignment(), WeightMirror(), Backprop()], ids=lambda r: r.name
)
def test_the_optimizer_of_another_model_is_refused_and_trains_nothing(
    rule: Rule, other: Callable[[nn.Module], nn.Module]
) -> None:
    model, feedback = attached(rule)
    backward(model)
    feedback.step(torch.optim.SGD(model.parameters(), lr=0.1))
    model.zero_grad()
    trained = other(model)
    before = copy.deepcopy(trained.state_dict())
    backward(trained)
    with pytest.raises(
        ConfigError, match=rf"^the optimizer SGD holds no weights of the model .*rule {rule.name} [^\n]*$"
    ):
        feedback.step(torch.optim.SGD(trained.parameters(), lr=0.1))
    torch.testing.assert_close(trained.state_dict(), before, rtol=0, atol=0)
    assert feedback.steps == 1


@pytest.mark.parametrize("rule", [KolenPollack(), FeedbackAlignment(), WeightMirror()], ids=lambda r: r.name)
def test_a_model_that_is_copied_together_with_its_feedback_trains(rule: Rule) -> None:
    model, feedback = copy.deepcopy(attached(rule))
    before = model[0].weight.detach().clone()  # type: ignore[index]
    backward(model)
    feedback.step(torch.optim.SGD(model.parameters(), lr=0.1))
    assert not torch.equal(feedback[0].weight, before)


@pytest.mark.parametrize("rule", [KolenPollack(), FeedbackAlignment()], ids=lambda r: r.name)
def test_an_optimizer_of_another_part_of_the_model_needs_that_of_the_weights(rule: Rule) -> None:
    model = nn.Sequential(nn.Linear(12, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5))
    feedback = attach(model, rule)
    norm = torch.optim.SGD(model[1].parameters(), lr=0.1)
    rest = torch.optim.SGD([p for n, p in model.named_parameters() if not n.startswith("1.")], lr=0.1)
    backward(model)
    with pytest.raises(ConfigError, match=r"holds no weights of the layers .*as feedback\.step\(\[a, b\]\)$"):
        feedback.step(norm)
    with pytest.raises(ConfigError, match=r"^the given optimizers \(none\) hold no weights"):
        feedback.step([])
    feedback.step([norm, rest])
    assert feedback.steps == 1


def test_a_weight_that_a_parametrization_computes_counts_as_held() -> None:
    model = nn.Sequential(nn.Linear(12, 6), nn.ReLU())
    feedback = attach(model, FeedbackAlignment())
    nn.utils.parametrizations.weight_norm(model[0])
    backward(model)
    feedback.step(torch.optim.SGD(model.parameters(), lr=0.1))
    assert feedback.steps == 1
