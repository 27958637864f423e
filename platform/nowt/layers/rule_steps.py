"""The rule's part of a training step: each method of the rule receives the signals that the rule declares."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from nowt.core.errors import ConfigError
from nowt.layers.mirror_mode import acts_after_step, mirror_after_step, mirror_before_learning
from nowt.layers.views import copy_signs, registered_state, view_of
from nowt.rules.base import Rule, overrides
from nowt.rules.feedback_layer import FeedbackLayer, check_own_weights
from nowt.rules.mirror_work import MirrorWork
from nowt.rules.moment import Moment


class RuleSteps:
    """Calls a rule for its layers. The loop calls ``before_learning`` once, and at every step ``before_step`` when
    gradients are final and ``after_step`` when the optimizer has updated W.

    Args:
        rule: The rule.
        layers: Its layers, one of those that share a W.
    """

    def __init__(self, rule: Rule, layers: Sequence[FeedbackLayer]) -> None:
        self.rule, self.layers = rule, layers
        self._mirrors = rule.mirror_noise() is not None

    def before_learning(self, moment: Moment) -> float | MirrorWork:
        """Do the rule's work before the first step. Return the number of mirror samples shown to each layer."""
        return mirror_before_learning(self.rule, self.layers, moment) if self._mirrors else 0

    def is_mirror_step(self, moment: Moment) -> bool:
        """Return whether ``after_step`` does mirror steps at ``moment``."""
        return self._mirrors and acts_after_step(self.rule, self.layers, moment)

    @torch.no_grad()
    def before_step(self, optimizer: torch.optim.Optimizer, moment: Moment) -> None:
        """Pass on W's final gradient.

        Raises ValueError if a layer whose B learns from it has been pruned or parametrized since ``attach``.
        """
        if "gradient" not in self.rule.signals:
            return
        check_own_weights(self.layers)
        if self.rule.update == "with_weight":
            self._share_gradients(optimizer)
        if overrides(self.rule, "observe_gradient"):
            groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
            for layer in self.layers:
                group, gradient = groups.get(id(layer.weight)), layer.weight.grad
                if group is not None and gradient is not None:
                    view = view_of(layer, moment)
                    with _explained(layer):
                        self.rule.observe_gradient(view, gradient.clone(), float(group["lr"]), group["weight_decay"])

    def _share_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Set B's gradient to that of W; to a copy of it if the optimizer changes gradients in place."""
        rate = self.rule.rate()
        copy = any(_writes_gradients(group) for group in optimizer.param_groups)
        for layer in self.layers:
            gradient = layer.weight.grad
            if gradient is not None and rate != 1:
                gradient = gradient * rate
            layer.feedback.grad = gradient.clone() if copy and gradient is not None else gradient

    @torch.no_grad()
    def after_step(self, moment: Moment) -> float | MirrorWork:
        """Let the rule change B. Return the number of mirror samples shown to each layer."""
        rule, follows_sign = self.rule, "sign" in self.rule.signals
        changes, copies = overrides(rule, "after_step"), overrides(rule, "observe_weight")
        if follows_sign or copies:
            check_own_weights(self.layers)
        for layer in self.layers:
            if rule.update == "with_weight":
                layer.feedback.grad = None  # B has one only during the optimizer's step
            if changes:
                with _explained(layer):
                    rule.after_step(view_of(layer, moment), moment.step)
            if follows_sign:
                copy_signs(layer)
            if copies:
                rule.observe_weight(view_of(layer, moment), layer.weight.detach())
        work = mirror_after_step(rule, self.layers, moment) if self._mirrors else 0
        clear_caches(self.layers)
        return work

    def drop_gradients(self) -> None:
        """Drop the gradients of B, after a step that failed."""
        for layer in self.layers:
            for state in registered_state(layer).values():
                state.grad = None


@contextmanager
def _explained(layer: FeedbackLayer) -> Iterator[None]:
    """Raise ConfigError where the rule looks in vain for what it kept of this step, because it observed nothing."""
    try:
        yield
    except KeyError as error:
        observes = overrides(layer.rule, "observe") or overrides(layer.rule, "observe_error")
        if layer.cache or not observes:
            raise
        why = (
            "the forward pass did not call it: look into layer.cache first"
            if layer.training
            else "it is in eval mode: call model.train() before the forward pass, and eval() of what is frozen alone"
        )
        raise ConfigError(
            f"rule {layer.rule.name} observed nothing in layer {layer.name} in this step, because {why}"
        ) from error


def clear_caches(layers: Sequence[FeedbackLayer]) -> None:
    """Forget what the rule kept during a step."""
    for layer in layers:
        layer.cache.clear()


def _writes_gradients(group: dict[str, object]) -> bool:
    """Return whether torch's optimizer changes the gradient in place, which would update a shared one twice.

    Nesterov's foreach form does, and it is the default on a GPU.
    """
    return bool(group.get("nesterov")) and group.get("foreach") is not False and not group.get("fused")
