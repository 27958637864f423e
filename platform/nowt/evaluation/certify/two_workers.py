"""Two workers, each with half of the batch, train as one worker with all of it."""

import torch
from torch import Tensor

from nowt.core.distributed import SINGLE_WORKER, Group
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.interruption import PACE, seeded, state_of
from nowt.evaluation.certify.testbed import Testbed, sample_steps
from nowt.evaluation.certify.worker_threads import UnequalCalls, run_together
from nowt.rules.base import Rule
from nowt.rules.rule_checks import shortened_rule

BOUND = 1e-9  # relative change that rounding explains, in float64

WORKERS = 2


def check_two_workers(rule: Rule) -> CheckResults:
    """Yield one check. The network has no batch norm: its statistics are those of a worker's own part of the batch."""
    short = shortened_rule(rule, PACE)
    alone = _build(short, SINGLE_WORKER)
    if not alone.layers:
        yield SkippedCheck("two workers", "the rule covers no layer: torch's own layers use backprop")
        return
    promise = "Two workers with half of the batch each train W, B and the rule's state as one worker with all of it"
    expected = _train(alone)
    try:
        found = run_together(WORKERS, lambda group: _build(short, group), _train)
    except UnequalCalls as error:
        yield Check("two workers", promise, f"{BOUND:.0e} relative", str(error), False)
        return
    changes = {name: max(_change(expected[name], each[name]) for each in found) for name in expected}
    worst = max(changes, key=lambda name: changes[name])
    measured = f"largest relative change {changes[worst]:.0e}" + (f" ({worst})" if changes[worst] > BOUND else "")
    yield Check("two workers", promise, f"{BOUND:.0e}", measured, changes[worst] <= BOUND)


def _build(rule: Rule, group: Group) -> Testbed:
    return seeded(lambda: Testbed.build(rule, dtype=torch.float64, norms=False, group=group))


def _train(testbed: Testbed) -> dict[str, Tensor]:
    testbed.begin()
    for number in sample_steps(testbed.rule)[:3]:
        testbed.step(number)
    return state_of(testbed)


def _change(expected: Tensor, found: Tensor) -> float:
    """Return the relative difference; infinite if a number is not finite."""
    difference = float((found.double() - expected.double()).norm()) / max(float(expected.double().norm()), 1e-12)
    return difference if difference == difference else float("inf")
