"""``Feedback``: the layers that a rule acts on, and the rule's part of a training step in a custom loop."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from nowt.core.distributed import SINGLE_WORKER, Group, ProcessGroup
from nowt.core.errors import ConfigError
from nowt.layers import step_checks
from nowt.layers.alignment import Loss, angle, measure_alignment
from nowt.layers.inputs import Inputs, check_inputs, explained
from nowt.layers.model_state import Modes, modes_of, preserved_attributes
from nowt.layers.rule_steps import RuleSteps
from nowt.layers.same_updates import GradientUse, check_optimizers, check_weights, warn_of_other_updates
from nowt.layers.saved_state import attachment, check_saved
from nowt.layers.step_arguments import check_scaler, checked_clip, checked_optimizers, unscale
from nowt.layers.step_reminder import StepReminder, parameters_of, state_version
from nowt.layers.views import feedback_of
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.moment import Moment


@dataclass(frozen=True)
class Angles:
    """The alignment of one layer, in degrees; NaN if undefined.

    Args:
        matrix: Angle between B and W.
        delta: Angle between the error signal δ at the layer's output and backprop's δ; NaN without a batch. That of the
            output layer is 0 under every rule.
    """

    matrix: float
    delta: float = float("nan")


class Feedback(list[FeedbackLayer]):
    """The layers to which ``attach`` attached a rule, in the order in which the model defines them, and their training.

    Call ``step`` in place of ``optimizer.step()`` in your own training loop, once per optimizer step.

    Attributes:
        rule: The attached rule.
        steps: Number of calls of ``step`` so far.

    Example:
        >>> import torch
        >>> from nowt import KolenPollack, attach
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
        >>> feedback = attach(model, KolenPollack())
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
        >>> before = feedback.angles()["2"].matrix
        >>> for _ in range(50):
        ...     optimizer.zero_grad()
        ...     torch.nn.functional.cross_entropy(model(torch.eye(8)), torch.arange(8) % 3).backward()
        ...     feedback.step(optimizer)
        >>> feedback.angles()["2"].matrix < before
        True
    """

    def __init__(self, layers: Iterable[FeedbackLayer], model: nn.Module, rule: Rule, seed: int) -> None:
        super().__init__(layers)
        self.model, self.rule, self.seed = model, rule, seed
        self.modules = frozenset(model.modules())  # at ``attach``
        self.states = step_checks.state_names(self)
        self.steps = 0
        self.begun = False
        self.modes: Modes | None = None  # of the modules, at the last step
        self.first_modes = modes_of(model) if model.training else None
        self.warned = False  # of an optimizer that may update B otherwise than W
        self.last_use = GradientUse()
        self.reminder: StepReminder | None = None

    @property
    def rule_steps(self) -> RuleSteps:
        """The rule's part of a step."""
        return RuleSteps(self.rule, self)

    def before_learning(self) -> None:
        """Do the rule's work before learning, such as mirror mode before the first step; once.

        Call it before the first forward pass, when the model is on its device. Otherwise the first ``step`` calls it,
        and the first gradient passed through B as it was drawn.
        """
        if not self.begun:
            self.rule_steps.before_learning(Moment(0, self.seed, _group()))
            self.begun = True
            if self.reminder is not None:
                self.reminder.note_begin()

    def step(
        self,
        optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
        scaler: torch.amp.GradScaler | None = None,
        clip: float | None = None,
    ) -> None:
        """Unscale and clip the gradients, then update W and B. Call it in place of ``optimizer.step()``.

        Under ``kp``, B receives W's gradient as it is when the optimizer uses it; gradients must not be rescaled
        afterwards. A step that ``scaler`` skips, because a gradient is not finite, leaves W unchanged but counts.

        Args:
            optimizer: The optimizer of W, or a list of all optimizers that update the model in this iteration: every
                call counts as one step, on which the intervals of mirror mode depend. At least one of them must hold
                weights of the layers. If B learns from the gradient (``kp``), B must be in W's parameter group: create
                the optimizer after ``attach``, from ``model.parameters()``. A warning names an optimizer that may
                update B otherwise than W.
            scaler: GradScaler of mixed-precision training. Call ``scaler.update()`` afterwards, as usual. Default None.
            clip: Largest norm of the gradient of the parameters of each optimizer; finite and above 0. Default None:
                gradients are not clipped.

        Raises:
            ConfigError: If ``optimizer`` lacks a B that learns from the gradient, or cannot update it as its W; if no
                optimizer holds weights of the layers, as that of a copy of the model, or none a parameter with a
                gradient; if two optimizers hold one parameter; if ``scaler`` is no GradScaler, or has not scaled the
                loss; if ``clip`` is not a finite number above 0; if a layer has been removed, added or, where B
                learns, pruned or parametrized since ``attach``; or if an earlier call has used these gradients with
                another optimizer.
        """
        optimizers, clip = checked_optimizers(optimizer), checked_clip(clip)
        check_scaler(scaler)
        self._check_model()
        step_checks.check_own_weight(self, self.rule)
        step_checks.exclude_from_autograd(self, self.states)
        check_optimizers(self, self.rule, optimizers)
        check_weights(self, self.model, self.rule, optimizers)
        step_checks.check_gradients(optimizers, self.rule)
        self.modes = modes_of(self.model)
        self.last_use.check(optimizers)
        self._warn_once(optimizers)
        self.before_learning()
        try:
            for one in optimizers:
                self._optimize(one, scaler, clip)
        except BaseException:
            self.rule_steps.drop_gradients()  # of B, which has W's during a step
            raise
        self.steps += 1
        self.rule_steps.after_step(Moment(self.steps, self.seed, _group()))
        self.last_use = GradientUse(optimizers, self)

    def _optimize(
        self, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None, clip: float | None
    ) -> None:
        if scaler is not None:
            unscale(scaler, optimizer)
        if clip is not None:
            # only what this optimizer trains: other gradients may be scaled still, or add up without end
            nn.utils.clip_grad_norm_([p for p in parameters_of(optimizer) if p.requires_grad], clip)
        self.rule_steps.before_step(optimizer, Moment(self.steps, self.seed, _group()))
        with self._in_step():
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)

    def angles(self, x: Inputs | None = None, y: Any = None, loss: Loss = F.cross_entropy) -> dict[str, Angles]:
        """Measure how the feedback aligns with backprop. Neither the model nor a random state changes.

        Each module is measured in the mode in which it trains, so a frozen batch norm stays frozen. These are the
        present modes or, if the model is in eval mode, those at the last ``step``. Before the first step, they are
        those at ``attach``, or train mode if the model was in eval mode then.

        Args:
            x: A batch of inputs: a tensor, a tuple of positional inputs (``model(*x)``) or a dictionary of keyword
                inputs (``model(**x)``). Default None: only the angles between B and W are measured.
            y: Its targets, in any form that ``loss`` takes; required with ``x``.
            loss: A function of the model's output and ``y``. Default: cross-entropy.

        Returns:
            The angles of each layer, by its name.

        Raises:
            ConfigError: If only one of ``x`` and ``y`` is given, if ``x`` does not fit the model, if a layer has been
                removed or added since ``attach``, or if measuring changes the state of a custom rule.
        """
        self._check_model()
        if (x is None) != (y is None):
            raise ConfigError(
                f"angles() needs {'inputs x' if x is None else 'targets y'} as well: call angles(x, y), or angles() "
                "for the angles between B and W alone"
            )
        if x is None or y is None:
            return {layer.name: Angles(_matrix_angle(layer)) for layer in self}
        check_inputs(self.model, x, "x")
        kept = preserved_attributes(step_checks.every_layer(self), except_for="through_feedback")
        with _unchanged_state(self), kept, explained(self.model, x, "x"):
            found = measure_alignment(self.model, self, x, y, loss, self._modes_of_training())
        return {layer.name: Angles(layer.matrix_angle, layer.delta_angle) for layer in found}

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps, and what they were made with: rule, seed and layers. For a checkpoint.

        B is part of the model's own state.
        """
        return {"steps": self.steps, "begun": self.begun, "attached": attachment(self.rule, self.seed, self)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned, so that mirror noise and intervals continue.

        Raises ConfigError if it was saved with another rule, other settings, another seed or other layers.
        """
        check_saved(state, attachment(self.rule, self.seed, self))
        self.steps, self.begun = state["steps"], state["begun"]
        if self.begun and self.reminder is not None:
            self.reminder.note_begin()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy or save the layers with their model. The copy reminds of its own steps."""
        state = {**vars(self), "reminder": None, "last_use": GradientUse()}  # both refer to tensors of this process
        return _restored, (list(self), state, self.reminder is not None)

    @contextmanager
    def _in_step(self) -> Iterator[None]:
        if self.reminder is None:
            yield
            return
        self.reminder.in_step = True
        try:
            yield
        finally:
            self.reminder.in_step = False

    def _check_model(self) -> None:
        step_checks.check_structure(self, self.model, self.rule, self.modules)

    def _modes_of_training(self) -> Modes | None:
        """Return the modes of the modules in training; None: train mode, if they are not known."""
        now = modes_of(self.model)
        if self.model.training:
            return now
        partly = now if any(now.values()) else None  # a head that trains on a frozen body
        return self.modes or partly or self.first_modes

    def _warn_once(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self.warned = self.warned or warn_of_other_updates(self, self.rule, optimizers)


def remind_of_steps(feedback: Feedback) -> None:
    """Warn once if the model is trained without ``feedback.step``, provided that the rule learns B in its steps."""
    if feedback and feedback.rule.learns_from:
        feedback.reminder = StepReminder(feedback)


def _restored(layers: list[FeedbackLayer], state: dict[str, Any], reminds: bool) -> Feedback:
    feedback = Feedback(layers, state["model"], state["rule"], state["seed"])
    vars(feedback).update(state)
    if reminds:
        remind_of_steps(feedback)
        if feedback.begun and feedback.reminder is not None:
            feedback.reminder.note_begin()
    return feedback


@contextmanager
def _unchanged_state(layers: Sequence[FeedbackLayer]) -> Iterator[None]:
    """Raise ConfigError if the block changes what the rule registered on a layer."""
    before = [state_version(layer) for layer in layers]
    yield
    for layer, version in zip(layers, before, strict=True):
        if state_version(layer) != version:
            raise ConfigError(
                f"measuring angles changed the state of rule {layer.rule.name} in layer {layer.name}: observe() and "
                "send_back() must not change it; do so in after_step()"
            )


def _group() -> Group:
    """Return the workers of torch.distributed's default group, or a single worker."""
    shared = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return ProcessGroup() if shared else SINGLE_WORKER


def _matrix_angle(layer: FeedbackLayer) -> float:
    weight, feedback = layer.weight.detach(), feedback_of(layer)
    return angle(feedback, weight) if feedback.shape == weight.shape else float("nan")
