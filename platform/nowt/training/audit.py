"""Audits of real runs: a step is done twice, the second time with the same activity and another W.

A rule can recognize the networks of a certificate. It cannot foresee which steps of a run are audited. Whatever the
audit does is undone bit for bit, and training continues from the step as it was done first.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nowt.layers.private_weights import layers_with_private_weights
from nowt.store.audits import Audit
from nowt.training.audit_comparison import Changes
from nowt.training.audit_plan import audited_steps, draw_plan
from nowt.training.changed_step import RecordedStep
from nowt.training.declared_law import declares_law, law_deviations
from nowt.training.expected_update import ExpectedUpdate, expected_update, wrong_update
from nowt.training.initial_audit import audit_initial_feedback, check_same_start
from nowt.training.rule_code import is_code_of
from nowt.training.step_numbers import GRADIENT, LOSS, StepNumbers
from nowt.training.step_snapshot import StepSnapshot, rehearsed

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

UNSEEN = "changes with W while all activity is the same"

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
    """Draw the steps that are audited, unless a checkpoint has them, and report what was found before.

    A rule that declares that it reads W is not audited. That is reported as well.
    """
    rule = training.config.rule
    count = audited_steps(training.config, training.placement.audit) if training.layers else 0
    if count and rule.transports:
        on_audit(Audit(0, examined=False, declares=rule.transports))
    elif count and not training.audits.drawn:
        last = training.config.epochs * training.steps_per_epoch
        training.audits = draw_plan(count, training.step + 1, last, rule, training.is_mirror_step, training.group)
    training.audits.report = on_audit
    if training.audits.drawn:
        training.audits.is_rule_code = is_code_of(rule, training.model)
    for audit in training.audits.found:
        on_audit(audit)
        if audit.problem:  # also if the run is started again without audits
            raise TransportDetected(audit, rule.name)


def begin(training: "TrainingState") -> None:
    """Do the rule's work before learning, and audit it. Raises TransportDetected, and ConfigError if that work is not
    the same when it is repeated."""
    found = audit_initial_feedback(training) if training.audits.drawn else None
    training.before_learning()
    if found is not None:
        record(training, check_same_start(training, found))


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
    layers, before = layers_with_private_weights(training.model, training.layers), StepSnapshot(training)
    if training.forward is training.eager:
        step = RecordedStep.of(training, before, x, y, layers)
        found = _audit_update(training, before, step.numbers)
        with rehearsed(training):
            audit = _compared(step)
    else:  # the maps of a compiled step cannot be recorded
        kept = x.clone()
        found = _audit_update(training, before, StepNumbers.of(training, lambda: training.train_step(x, y)))
        with rehearsed(training):
            before.restore()
            audit = _compared(RecordedStep.of(training, before, kept, y, layers))
    problem, law = found
    audit = replace(audit, mirror=training.is_mirror_step(training.step), law=law)
    return audit if audit.problem else replace(audit, problem=problem)


def _compared(step: RecordedStep) -> Audit:
    """Repeat a step with another W. If it changes, repeat it with the same W as well: it may never be the same."""
    audit = Audit(step.training.step, hidden=len(step.layers))
    if not step.layers:
        return replace(audit, examined=False)
    changes, same = step.changes(torch.Generator().manual_seed(secrets.randbits(63))), Changes()
    if any(changes.values()):
        same = step.changes()
    if changes[LOSS]:
        return replace(audit, examined=False)
    read = [name for name in changes if changes[name] and not same.get(name)]
    where = next(iter(read), max(changes, key=lambda name: changes[name]))
    if not changes[where]:
        return audit
    audit = replace(audit, change=changes[where], where=where)
    return replace(audit, problem=f"{where} {UNSEEN}") if read else replace(audit, examined=False, irregular=True)


def _audit_update(training: "TrainingState", before: StepSnapshot, done: StepNumbers) -> tuple[str, float | None]:
    """Compare a step with what the optimizer makes of its gradients. Return what is wrong, in a few words, and the
    largest deviation from the declared law; empty and None without any."""
    gradients, named = done.gradients, training.model.named_parameters()
    used: dict[Tensor, Tensor] = {p: gradients[GRADIENT + n] for n, p in named if GRADIENT + n in gradients}
    expected = expected_update(training, before, used)
    problem, law = _law_problem(training, expected)
    if where := wrong_update(training, before, expected):
        problem = f"{where}: {OTHERWISE}"
    return problem, law


def _law_problem(training: "TrainingState", expected: ExpectedUpdate) -> tuple[str, float | None]:
    if not declares_law(training.config.rule):
        return "", None
    laws = law_deviations(training.layers, expected.copies)
    layer = max(laws, key=lambda name: laws[name], default="")
    law = laws.get(layer)
    return ("" if law is None or law <= 1 else f"W − B of layer {layer} {LAWLESS} (by {law:.1e})"), law
