"""Audits of real runs: a step is done twice, the second time with a W that no activity shows to be another one.

A rule can recognize the networks of a certificate. It cannot foresee which steps of a run are audited. Whatever the
audit does is undone bit for bit, and training continues from the step as it was done first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nowt.store.audits import Audit
from nowt.training.audit_comparison import (
    GRADIENT,
    HUGE,
    TOLERANCES,
    Changes,
    Numbers,
    are_finite,
    copy_state,
    feedback_weights,
    gradient_changes,
    largest_over_workers,
    state_changes,
    used_gradients,
)
from nowt.training.audit_plan import audited_steps, draw_plan
from nowt.training.changed_step import choose, do_changed_step
from nowt.training.declared_law import declares_law, law_deviations
from nowt.training.initial_audit import audit_initial_feedback
from nowt.training.step_snapshot import StepSnapshot, rehearsed

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

LOSS = "the loss"

FAILED = "the step itself"  # fails with another W

UNSEEN = "changes with W where no activity shows W"

LAWLESS = "is not what the optimizer makes of it, as update = 'with_weight' declares"


class TransportDetected(Exception):
    """An audited step shows that a rule reads W, although it does not declare that.

    Attributes:
        audit: What was found.
        rule: Name of the rule.
    """

    def __init__(self, audit: Audit, rule: str) -> None:
        super().__init__(audit, rule)  # the constructor's arguments, so that the exception can be pickled
        self.audit, self.rule = audit, rule

    def __str__(self) -> str:
        when = f"at step {self.audit.step}" if self.audit.step else "before the first step"
        return f"transport detected {when} under rule {self.rule}: {self.audit.problem}"


@dataclass(frozen=True)
class _Pass:
    """What one pass through a step gave: the loss on its images, the gradients, the rule's state, and the weights that
    carry errors back, which a rule may compute from its state as the small difference of large numbers."""

    loss: float
    gradients: Numbers
    state: Numbers
    feedback: Numbers

    @classmethod
    def of(cls, training: "TrainingState", act: Callable[[], None]) -> "_Pass":
        """Return the numbers of the step that ``act`` does."""
        earlier, layers = _loss(training), training.layers
        with used_gradients(training.model, training.optimizer) as used:
            act()
        return cls(_loss(training) - earlier, used, copy_state(layers), feedback_weights(layers))


def plan_audits(training: "TrainingState", on_audit: Callable[[Audit], None]) -> None:
    """Draw the steps that are audited, unless a checkpoint has them, and report what was found before."""
    count = audited_steps(training.config, training.placement.audit) if training.layers else 0
    if count and not training.audits.drawn:
        last, rule = training.config.epochs * training.steps_per_epoch, training.config.rule
        training.audits = draw_plan(count, training.step + 1, last, rule, training.is_mirror_step, training.group)
    training.audits.report = on_audit
    for audit in training.audits.found:
        on_audit(audit)
        if audit.problem:  # also if the run is started again without audits
            raise TransportDetected(audit, training.config.rule.name)


def begin(training: "TrainingState") -> None:
    """Do the rule's work before learning, and audit it. Raises TransportDetected."""
    audit = audit_initial_feedback(training) if training.audits.drawn else None
    training.before_learning()
    if audit is not None:
        record(training, audit)


def run_step(training: "TrainingState", x: Tensor, y: Tensor) -> None:
    """Do one training step, and audit it if it is one of those that were drawn. Raises TransportDetected."""
    if training.audits.is_due(training.step + 1):
        record(training, _audited_step(training, x, y))
    else:
        training.train_step(x, y)


def record(training: "TrainingState", audit: Audit) -> None:
    """Keep an audit for the checkpoint and the log. Raises TransportDetected if it found a read of W."""
    training.audits.add(audit)
    if audit.problem:
        raise TransportDetected(audit, training.config.rule.name)


def _audited_step(training: "TrainingState", x: Tensor, y: Tensor) -> Audit:
    before, state, kept = StepSnapshot(training), copy_state(training.layers), x.clone()
    first = _Pass.of(training, lambda: training.train_step(x, y))
    laws = _laws(training, before, first)
    with rehearsed(training):
        true = {layer.name: layer.weight.detach().clone() for layer in training.layers}
        before.restore()
        changed, inputs = choose(training, kept)
        second = _second_pass(training, lambda: do_changed_step(training, kept, y, changed, inputs, true))
    changes = largest_over_workers(_compared(training, state, first, second), training.group)
    mirror = training.is_mirror_step(training.step)
    found = _judged(training, changes, laws)
    return replace(found, moved=len(changed.moved), hidden=len(changed.hidden), mirror=mirror)


def _second_pass(training: "TrainingState", act: Callable[[], None]) -> _Pass | None:
    """Do the changed step. Return None if it fails, as code does that expects the true W."""
    try:
        return _Pass.of(training, act)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # a custom rule may raise anything
        if training.group.size > 1:
            raise
        return None


def _loss(training: "TrainingState") -> float:
    return float(training.totals.loss)


def _laws(training: "TrainingState", before: StepSnapshot, first: _Pass) -> Changes:
    """Return the deviations from the declared law, by layer; above 1, it does not hold. Empty without one."""
    rule, named = training.config.rule, training.model.named_parameters()
    if not declares_law(rule):
        return {}
    used: dict[Tensor, Tensor] = {p: first.gradients[GRADIENT + n] for n, p in named if GRADIENT + n in first.gradients}
    return law_deviations(rule, training.layers, training.optimizer, before, used)


def _compared(training: "TrainingState", state: Numbers, first: _Pass, second: _Pass | None) -> Changes:
    """Return all changes relative to what rounding explains; infinite if the second pass failed."""
    tolerance = TOLERANCES[training.config.precision]
    if not are_finite(first.gradients):
        return {LOSS: HUGE}
    if second is None:
        return {LOSS: 0.0, FAILED: HUGE}
    return {
        LOSS: abs(second.loss - first.loss) / max(abs(first.loss), tolerance.gradient),
        **state_changes(state, first.state, second.state, tolerance),
        **gradient_changes(first.gradients, second.gradients, tolerance),
        **gradient_changes(first.feedback, second.feedback, tolerance),
    }


def _judged(training: "TrainingState", changes: Changes, laws: Changes) -> Audit:
    allowed, law = TOLERANCES[training.config.precision].change, max(laws.values(), default=None)
    if not changes.pop(LOSS) <= allowed:  # also NaN
        return Audit(training.step, examined=False)
    where = next((name for name, change in changes.items() if not change <= allowed), None)
    where = where or max(changes, key=lambda name: changes[name], default="")
    audit = Audit(training.step, change=changes.get(where, 0.0), allowed=allowed, where=where, law=law)
    if audit.change > allowed:
        problem = f"{where} {UNSEEN} (by {audit.change:.1e}, rounding explains {allowed:.0e})"
        return replace(audit, problem=problem)
    if law is not None and not law <= 1:
        layer = max(laws, key=lambda name: laws[name])
        return replace(audit, where=f"layer {layer}", problem=f"W − B of layer {layer} {LAWLESS} (by {law:.1e})")
    return audit
