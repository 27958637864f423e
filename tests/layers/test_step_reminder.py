"""A warning says that a model is trained without the rule's steps, however the training begins."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nowt import KolenPollack, Rule, SignSymmetry, WeightMirror, attach
from nowt.layers.feedback import Feedback
from tests.support.nets import dense_net, normal


def attached(rule: Rule) -> tuple[nn.Module, Feedback]:
    model = dense_net()
    return model, attach(model, rule, seed=1)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def backward(model: nn.Module) -> None:
    F.cross_entropy(model(normal(8, 12)), torch.arange(8) % 5).backward()


def test_training_without_steps_after_a_checkpoint_is_loaded_warns() -> None:
    for rule, silent in ((KolenPollack(), 0), (SignSymmetry(), 1)):
        model, _ = attached(rule)
        model.load_state_dict(copy.deepcopy(model.state_dict()))
        optimizer = sgd(model)
        backward(model)
        for _ in range(silent):
            optimizer.step()
        with pytest.warns(UserWarning, match=f"without its rule {rule.name}"):
            optimizer.step()


def test_training_of_the_last_layer_alone_without_steps_warns() -> None:
    model, feedback = attached(KolenPollack())
    optimizer = torch.optim.SGD(feedback[2].parameters(), lr=0.1)
    backward(model)
    with pytest.warns(UserWarning, match="without its rule kp"):
        optimizer.step()


def test_a_mirror_that_ends_before_learning_needs_no_steps() -> None:
    model, feedback = attached(WeightMirror(warmup=2, samples=4, interval=0))
    feedback.before_learning()
    backward(model)
    optimizer = sgd(model)
    for _ in range(3):
        optimizer.step()  # a warning would be an error
