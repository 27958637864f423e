"""A wrong argument of ``feedback.step`` is an error of one line, and changes nothing."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from nowt import ConfigError, FeedbackAlignment
from tests.layers.test_feedback import attached, backward, sgd


@pytest.mark.parametrize("clip", [-1.0, 0.0, 0, math.nan, math.inf, -math.inf])
def test_a_clip_that_is_no_finite_number_above_0_changes_nothing(clip: float) -> None:
    model, feedback = attached(FeedbackAlignment())
    backward(model)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ConfigError, match=rf"^clip is {clip}: it must be a finite number above 0, or None"):
        feedback.step(sgd(model), clip=clip)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert feedback.steps == 0


@pytest.mark.parametrize("clip", ["1.0", True, torch.tensor(1.0)], ids=["text", "bool", "tensor"])
def test_a_clip_of_another_type_is_refused(clip: Any) -> None:
    model, feedback = attached(FeedbackAlignment())
    with pytest.raises(ConfigError, match=r"^clip is [^\n]*$"):
        feedback.step(sgd(model), clip=clip)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda model: ("sgd",), "optimizer is 'sgd': it must be a torch.optim.Optimizer, or a list of them"),
        (lambda model: (None,), "optimizer is None: it must be"),
        (lambda model: (sgd(model), 1.0), "scaler is 1.0, but must be .* or None: to clip gradients, pass clip=1.0"),
        (lambda model: (sgd(model), "s"), "scaler is 's', but must be a torch.amp.GradScaler or None$"),
        (lambda model: (sgd(model), torch.amp.GradScaler("cpu")), "the loss was not scaled: call scaler.scale"),
        (lambda model: ([sgd(model), sgd(model)],), "optimizers 0 and 1 .* hold the same parameter, .* twice"),
    ],
)
def test_a_wrong_argument_is_an_error_of_one_line(arguments: Callable[[nn.Module], Any], message: str) -> None:
    model, feedback = attached(FeedbackAlignment())
    backward(model)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ConfigError, match=rf"^{message}"):
        feedback.step(*arguments(model))
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
