"""Audits of real runs: a step is done twice, the second time with a W that no activity shows to be another one.

A rule can recognize the networks of a certificate. It cannot foresee which steps of a run are audited. Whatever the
audit does is undone bit for bit, and training continues from the step as it was done first.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nowt.store.audits import Audit
from nowt.training.audit_comparison import TOLERANCES, Changes, largest_over_workers
from nowt.training.audit_control import changes_by_rounding
from nowt.training.audit_plan import audited_steps, draw_plan
from nowt.training.changed_step import choose, do_changed_step
from nowt.training.declared_law import declares_law, law_deviations
from nowt.training.expected_update import ExpectedUpdate, expected_update, update_changes
from nowt.training.initial_audit import audit_initial_feedback
from nowt.training.step_numbers import GRADIENT, LOSS, StepNumbers, copy_state
from nowt.training.step_snapshot import StepSnapshot, rehearsed

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

UNSEEN = "changes with W where no activity shows W"

LAWLESS = "is not what the optimizer makes of it, as update = 'with_weight' declares"

OTHERWISE = "not what the optimizer makes of the gradients"


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
    first = StepNumbers.of(training, lambda: training.train_step(x, y))
    problem, law = _audit_update(training, before, first)
    with rehearsed(training):
        true = {layer.name: layer.weight.detach().clone() for layer in training.layers}
        before.restore()
        changed, inputs = choose(training, kept)
        second = _second_pass(training, lambda: do_changed_step(training, kept, y, changed, inputs, true))
    tolerance = TOLERANCES[training.config.precision]
    changes = largest_over_workers(first.changes(state, second, tolerance), training.group)
    by_rounding = partial(changes_by_rounding, training, before, state, first, kept, y)
    found = _judged(training.step, tolerance.change, changes, by_rounding)
    found = replace(found, moved=len(changed.moved), hidden=len(changed.hidden), law=law)
    return replace(found, mirror=training.is_mirror_step(training.step), problem=found.problem or problem)


def _second_pass(training: "TrainingState", act: Callable[[], None]) -> StepNumbers | None:
    """Do the changed step. Return None if it fails, as code does that expects the true W."""
    try:
        return StepNumbers.of(training, act)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # a custom rule may raise anything
        if training.group.size > 1:
            raise
        return None


def _audit_update(training: "TrainingState", before: StepSnapshot, first: StepNumbers) -> tuple[str, float | None]:
    """Compare the step with what the optimizer makes of its gradients. Return what is wrong, in a few words, and the
    largest deviation from the declared law; empty and None without any."""
    named = training.model.named_parameters()
    used: dict[Tensor, Tensor] = {p: first.gradients[GRADIENT + n] for n, p in named if GRADIENT + n in first.gradients}
    expected = expected_update(training, before, used)
    problem, law = _law_problem(training, expected)
    changes = update_changes(training, before, expected)
    allowed = TOLERANCES[training.config.precision].change
    if where := next((name for name, change in changes.items() if not change <= allowed), ""):
        problem = f"{where}: {OTHERWISE} (by {changes[where]:.1e})"
    return problem, law


def _law_problem(training: "TrainingState", expected: ExpectedUpdate) -> tuple[str, float | None]:
    if not declares_law(training.config.rule):
        return "", None
    laws = law_deviations(training.layers, expected.copies)
    layer = max(laws, key=lambda name: laws[name], default="")
    law = laws.get(layer)
    return ("" if law is None or law <= 1 else f"W − B of layer {layer} {LAWLESS} (by {law:.1e})"), law


def _judged(step: int, allowed: float, changes: Changes, by_rounding: Callable[[], Changes]) -> Audit:
    """Return the result of an audited step. ``by_rounding`` measures what rounding alone changes."""
    if not changes.pop(LOSS) <= allowed:  # also NaN
        return Audit(step, examined=False)
    where = max(changes, key=lambda name: changes[name], default="")
    audit = Audit(step, change=changes.get(where, 0.0), allowed=allowed, where=where)
    failed = [name for name, change in changes.items() if not change <= allowed]
    if not failed:
        return audit
    rounding = by_rounding()
    read = next((name for name in failed if rounding.get(name, 0.0) <= allowed), "")
    if not read:
        return replace(audit, examined=False, amplified=True)
    problem = f"{read} {UNSEEN} (by {changes[read]:.1e}, rounding explains {allowed:.0e})"
    return replace(audit, change=changes[read], where=read, problem=problem)
