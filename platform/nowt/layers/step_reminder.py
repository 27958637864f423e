"""Warns if a custom loop trains a model without the rule's part of a step."""

import warnings
import weakref
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer


class StepReminder:
    """Warns once if an optimizer updates W without the rule's part of the step.

    It is called after every step of any optimizer. A caller who calls the rule's methods is not warned: then B has its
    gradient, or has changed since the step before. What changes B before the first step, such as loading a checkpoint,
    does not count. Where B learns in ``after_step``, which follows the optimizer's step, this shows one step later, or
    after as many steps as the rule lets pass between two changes of B.
    """

    def __init__(self, layers: Sequence[FeedbackLayer]) -> None:
        self.in_step = False  # whether ``Feedback.step`` is calling the optimizer
        self.layers = [weakref.ref(layer) for layer in layers]
        self.versions: dict[str, int] = {}  # of the layers that were trained, by name, after the last step
        self.rule = layers[0].rule
        self.patience = 0 if self.rule.update == "with_weight" else max(1, _interval(self.rule))
        self.stopped = False
        weakref.finalize(layers[0], self.stop)
        _watch_optimizers()
        _REMINDERS.append(self)

    def stop(self) -> None:
        """Never remind again."""
        self.stopped = True

    def note_begin(self) -> None:
        """Note that the work before learning is done, which is all that a rule with an ``interval`` of 0 does."""
        self.versions = {}
        if _interval(self.rule) == 0:
            self.stop()

    def check(self, optimizer: torch.optim.Optimizer) -> None:
        """Warn if ``optimizer``, which has made a step, trained the layers without the rule's part of it."""
        if self.in_step or not (layers := self._trained_by(optimizer)):
            return
        changed = any(self.versions.get(layer.name, state_version(layer)) != state_version(layer) for layer in layers)
        by_hand = changed or any(p.grad is not None for layer in layers for p in rule_states(layer))
        self.versions = {layer.name: state_version(layer) for layer in layers}
        self.patience -= 1
        if not by_hand and self.patience >= 0:
            return
        self.stop()
        if not by_hand:
            warnings.warn(
                f"an optimizer trained the model without its rule {self.rule.name}, so the feedback weights have not "
                "learned: call feedback.step(optimizer) in place of optimizer.step(), where feedback = "
                "nowt.attach(model, rule)",
                stacklevel=3,
            )

    def _trained_by(self, optimizer: torch.optim.Optimizer) -> list[FeedbackLayer]:
        trained = {id(parameter) for parameter in parameters_of(optimizer)}
        return [layer for ref in self.layers if (layer := ref()) is not None and id(layer.weight) in trained]


_REMINDERS: list[StepReminder] = []  # of the whole process, as are torch's hooks for every optimizer


@cache
def _watch_optimizers() -> None:
    """Check the reminders after each step of any optimizer.

    The hook is registered once and never removed: torch iterates over its hooks, and a removal meanwhile, such as by
    the garbage collector, would be an error.
    """

    def check(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        _REMINDERS[:] = [reminder for reminder in list(_REMINDERS) if not reminder.stopped]
        for reminder in list(_REMINDERS):
            reminder.check(optimizer)

    register_optimizer_step_post_hook(check)


def _interval(rule: Rule) -> int:
    """Return how many steps a rule may let pass between two changes of B."""
    noise = rule.mirror_noise()
    return 1 if noise is None else noise.interval


def rule_states(layer: FeedbackLayer) -> list[nn.Parameter]:
    """Return what the rule registered on the layer."""
    return [state for state in layer.parameters(recurse=False) if not state.requires_grad]


def state_version(layer: FeedbackLayer) -> int:
    """Return a number that increases when a tensor of the rule changes in place."""
    return sum(state._version for state in rule_states(layer))


def parameters_of(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    """Return the parameters of all groups of ``optimizer``."""
    return (parameter for group in optimizer.param_groups for parameter in group["params"])
