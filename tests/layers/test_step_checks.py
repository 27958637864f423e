"""In a custom loop, a step that the rule cannot make correctly is refused in one line, at the next step."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune, weight_norm

from nowt import Backprop, FeedbackAlignment, KolenPollack, Rule, Sham, SignSymmetry, WeightMirror, attach
from nowt.layers.feedback import Feedback
from tests.support.config_errors import config_error
from tests.support.nets import dense_net, normal

X, Y = normal(8, 12), torch.arange(8) % 5

LEARNING = [KolenPollack(), WeightMirror(warmup=1, samples=2), WeightMirror(warmup=0, interval=0), SignSymmetry()]


def attached(rule: Rule) -> tuple[nn.Sequential, Feedback]:
    model = dense_net()
    return model, attach(model, rule, seed=1)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)


def backward(model: nn.Module) -> None:
    F.cross_entropy(model(X), Y).backward()


def step(model: nn.Module, feedback: Feedback, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    backward(model)
    feedback.step(optimizer)


def pruned(layer: nn.Module) -> None:
    prune.random_unstructured(layer, "weight", amount=0.5)


def normed(layer: nn.Module) -> None:
    parametrizations.weight_norm(layer)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("change", [pruned, normed, weight_norm])
@pytest.mark.parametrize("rule", LEARNING, ids=["kp", "wm", "wm before learning", "ss"])
@pytest.mark.parametrize("new_optimizer", [True, False])
def test_a_layer_that_is_pruned_or_parametrized_after_attach_is_refused_at_the_next_step(
    rule: Rule, change: Callable[[nn.Module], None], new_optimizer: bool
) -> None:
    model, feedback = attached(rule)
    optimizer = sgd(model)
    step(model, feedback, optimizer)
    change(model[2])
    optimizer = sgd(model) if new_optimizer else optimizer
    line = config_error(lambda: step(model, feedback, optimizer))
    assert line.startswith("layer 2 now computes its weight from other parameters, so its B cannot learn by rule")
    assert "torch.nn.utils.prune.remove" in line and feedback.steps == 1


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("change", [pruned, normed, weight_norm])
def test_under_a_fixed_b_such_a_layer_trains_with_b(change: Callable[[nn.Module], None]) -> None:
    model, feedback = attached(FeedbackAlignment())
    change(model[2])
    x = X.clone().requires_grad_()
    hidden = model[:2](x)
    model[2](hidden).sum().backward()
    expected = torch.autograd.grad(model[:2](x), x, torch.ones(8, 16) @ feedback[1].feedback)
    torch.testing.assert_close(x.grad, expected[0])
    step(model, feedback, sgd(model))


def test_a_weight_that_is_no_longer_shared_is_refused() -> None:
    model = dense_net((12, 12, 12, 5))
    model[2].weight = model[0].weight
    feedback = attach(model, KolenPollack())
    model[2].weight = nn.Parameter(model[0].weight.detach().clone())
    line = config_error(lambda: step(model, feedback, sgd(model)))
    assert line.startswith("layers 0 and 2 shared one W at nowt.attach and no longer do, but they share one B")


@pytest.mark.parametrize("rule", [KolenPollack(), FeedbackAlignment()], ids=lambda rule: rule.name)
def test_a_layer_that_is_added_after_attach_is_refused(rule: Rule) -> None:
    model, feedback = attached(rule)
    model.extend([nn.Tanh(), nn.Linear(5, 5)])
    for call in (lambda: step(model, feedback, sgd(model)), lambda: feedback.angles(X, Y)):
        assert config_error(call).startswith("layer 6 was added to the model after nowt.attach, so it uses backprop")  # type: ignore[arg-type]


def test_a_layer_that_the_rule_does_not_cover_may_be_replaced_and_other_modules_added() -> None:
    model, feedback = attached(FeedbackAlignment(last_layer="backprop"))
    model[4] = nn.Linear(16, 5)
    model.append(nn.BatchNorm1d(5))
    step(model, feedback, sgd(model))
    model, feedback = attached(Backprop())
    model[4] = nn.Linear(16, 5)
    step(model, feedback, sgd(model))


@pytest.mark.parametrize(
    "rule", [KolenPollack(), WeightMirror(warmup=1, samples=2), FeedbackAlignment()], ids=lambda r: r.name
)
def test_a_step_without_any_gradient_is_refused_and_changes_nothing(rule: Rule) -> None:
    model, feedback = attached(rule)
    before = [value.clone() for value in model.state_dict().values()]
    line = config_error(lambda: feedback.step(sgd(model)))
    assert line.startswith("no parameter of the optimizer has a gradient: call loss.backward() before feedback.step")
    assert all(map(torch.equal, model.state_dict().values(), before)) and feedback.steps == 0


def test_a_second_step_with_the_same_gradients_is_one_of_the_optimizer_for_w_and_b() -> None:
    model, feedback = attached(KolenPollack())
    plain = dense_net()
    difference = feedback[1].weight.detach() - feedback[1].feedback
    backward(model)
    for mine, its in zip(plain, model, strict=True):
        for p, q in zip(mine.parameters(), [q for q in its.parameters() if q.requires_grad], strict=True):
            assert q.grad is not None
            p.grad = q.grad.clone()
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=1.0) for net in (model, plain)]
    for _ in range(2):
        feedback.step(optimizers[0])
        optimizers[1].step()
    torch.testing.assert_close(model[2].weight, plain[2].weight)
    torch.testing.assert_close(feedback[1].weight - feedback[1].feedback, 0.9**2 * difference)
    assert feedback.steps == 2


@pytest.mark.parametrize(("rule", "advice"), [(FeedbackAlignment(), ", or optimizer.step(closure)"), (LEARNING[1], "")])
def test_an_optimizer_that_needs_a_closure_is_refused(rule: Rule, advice: str) -> None:
    model, feedback = attached(rule)
    backward(model)
    line = config_error(lambda: feedback.step(torch.optim.LBFGS(model.parameters())))
    assert line.startswith("the optimizer LBFGS computes several gradients for one step")
    assert f"use SGD or AdamW{advice}" in line and (advice or line.endswith("AdamW"))


@pytest.mark.parametrize(
    "rule", [KolenPollack(), FeedbackAlignment(), SignSymmetry(), Sham(), LEARNING[1]], ids=lambda rule: rule.name
)
def test_freezing_and_training_all_parameters_again_changes_no_b(rule: Rule) -> None:
    (model, feedback), (other, its) = attached(rule), attached(rule)
    model.requires_grad_(False)
    model.requires_grad_(True)
    for net, found in ((model, feedback), (other, its)):
        optimizer = sgd(net)
        for _ in range(3):
            optimizer.zero_grad()
            penalty = sum(p.square().sum() for p in net.parameters() if p.requires_grad)
            (F.cross_entropy(net(X), Y) + 0.1 * penalty).backward()
            found.step(optimizer)
    torch.testing.assert_close(list(model.state_dict().values()), list(other.state_dict().values()))
    assert not any(layer.feedback.requires_grad for layer in feedback)
