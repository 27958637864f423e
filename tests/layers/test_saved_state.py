"""A saved state of ``Feedback`` is loaded only where it was saved: the same rule, settings, seed and layers."""

import copy
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from nowt import FeedbackAlignment, KolenPollack, Rule, WeightMirror, attach
from nowt.layers.feedback import Feedback
from tests.support.config_errors import config_error
from tests.support.nets import dense_net, normal


@dataclass(frozen=True)
class Typed(FeedbackAlignment):
    """Has settings that are no plain data."""

    name: ClassVar[str] = "typed"
    kind: torch.dtype = torch.float32
    sizes: tuple[int, ...] = (1, 2)
    inner: KolenPollack = field(default_factory=KolenPollack)
    other: Any = None


def feedback_of(rule: Rule, seed: int = 1, sizes: tuple[int, ...] = (12, 20, 16, 5)) -> Feedback:
    return attach(dense_net(sizes), rule, seed=seed)


def saved(rule: Rule, seed: int = 1) -> dict[str, Any]:
    """Return the state after three steps, saved and loaded as torch does by default."""
    feedback, file = feedback_of(rule, seed), io.BytesIO()
    feedback.steps, feedback.begun = 3, True
    torch.save(feedback.state_dict(), file)
    state: dict[str, Any] = torch.load(io.BytesIO(file.getvalue()))
    return state


@pytest.mark.parametrize(
    "rule", [WeightMirror(eta=0.5), Typed(inner=KolenPollack(angle=5.0), other=object())], ids=lambda rule: rule.name
)
def test_a_state_is_loaded_where_it_was_saved(rule: Rule) -> None:
    feedback = feedback_of(rule)
    feedback.load_state_dict(saved(rule))
    assert (feedback.steps, feedback.begun) == (3, True)


@pytest.mark.parametrize(
    ("feedback", "message"),
    [
        (feedback_of(KolenPollack()), "the state was saved with rule wm and the model has kp: attach wm"),
        (
            feedback_of(WeightMirror(eta=0.5)),
            "the state was saved with rule.eta 0.02 and the attached rule wm has 0.5: attach it with the settings that "
            "it was saved with",
        ),
        (
            feedback_of(WeightMirror(), seed=2),
            "the state was saved with seed 1 and the rule is attached with seed 2: call nowt.attach with seed=1",
        ),
        (
            feedback_of(WeightMirror(), sizes=(12, 21, 16, 5)),
            "the state was saved with weights of shape (20, 12) in layer 0, and the model has (21, 12): load it for "
            "the model that it was saved with",
        ),
        (
            feedback_of(WeightMirror(last_layer="backprop")),
            "the state was saved with rule.last_layer rule and the attached rule wm has backprop: attach it with the "
            "settings that it was saved with",
        ),
        (
            feedback_of(WeightMirror(), sizes=(12, 20, 16)),
            "the state was saved with weights of shape (5, 16) in layer 4, and the model has none: load it for the "
            "model that it was saved with",
        ),
    ],
    ids=lambda value: value.rule.name if isinstance(value, Feedback) else "",
)
def test_a_state_of_another_rule_seed_or_model_is_refused(feedback: Feedback, message: str) -> None:
    assert config_error(lambda: feedback.load_state_dict(saved(WeightMirror()))) == message
    assert (feedback.steps, feedback.begun) == (0, False)


def test_a_state_of_an_earlier_version_is_loaded() -> None:
    feedback = feedback_of(KolenPollack())
    feedback.load_state_dict({"steps": 7, "begun": True})
    assert (feedback.steps, feedback.begun) == (7, True)


@pytest.mark.parametrize("state", [{}, {"0.weight": torch.ones(2)}, {"steps": 3}, {"steps": None, "begun": True}, None])
def test_anything_else_is_refused(state: Any) -> None:
    line = config_error(lambda: feedback_of(KolenPollack()).load_state_dict(state))
    assert line.endswith("give load_state_dict what feedback.state_dict() returned")


def saved_and_loaded(pair: Any) -> Any:
    file = io.BytesIO()
    torch.save(pair, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def train(model: nn.Module, feedback: Feedback, steps: int) -> list[torch.Tensor]:
    """Train with plain SGD, which has no state of its own, and return what the model contains then."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(normal(8, 12)).square().mean().backward()
        feedback.step(optimizer)
    return list(model.state_dict().values())


COPIES = [saved_and_loaded, copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))]


@pytest.mark.parametrize("copied", COPIES, ids=["torch.save", "deepcopy", "pickle"])
@pytest.mark.parametrize("rule", [WeightMirror(warmup=2, samples=2, interval=2), KolenPollack()], ids=lambda r: r.name)
def test_a_model_that_is_saved_together_with_its_feedback_continues(rule: Rule, copied: Callable[[Any], Any]) -> None:
    model, whole = dense_net(), dense_net()
    feedback = attach(model, rule, seed=1)
    train(model, feedback, 3)
    other, its = copied((model, feedback))
    assert its.model is other and [layer.name for layer in its] == ["0", "2", "4"] and its.steps == 3
    assert its[0] is other[0] and its[0] is not feedback[0]
    expected = train(whole, attach(whole, rule, seed=1), 5)
    torch.testing.assert_close(train(other, its, 2), expected, rtol=0, atol=0)
    assert feedback.steps == 3


@pytest.mark.parametrize("copied", COPIES, ids=["torch.save", "deepcopy", "pickle"])
def test_a_copy_of_the_feedback_alone_contains_a_copy_of_the_model_and_reminds_of_its_steps(
    copied: Callable[[Any], Any],
) -> None:
    model = dense_net()
    its = copied(attach(model, KolenPollack()))
    assert its.model is not model and its[0] is its.model[0]
    its.model(normal(8, 12)).square().mean().backward()
    with pytest.warns(UserWarning, match="without its rule kp"):
        torch.optim.SGD(its.model.parameters()).step()
    quiet = copied(attach(dense_net(), KolenPollack(), quiet=True))
    quiet.model(normal(8, 12)).square().mean().backward()
    torch.optim.SGD(quiet.model.parameters()).step()  # a warning would be an error
