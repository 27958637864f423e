"""The error that a rule sends to the layers below: it comes from the error of this step, and of no other."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from nowt.core.random_state import preserved_random_state
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.interruption import load, save, train
from nowt.evaluation.certify.small_network import CLASSES, batch
from nowt.evaluation.certify.testbed import Testbed
from nowt.layers.rule_steps import clear_caches
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer

LEAST = 1e-6  # relative change that other labels make

RELABELED = 5  # samples; a single one may receive no error, where units are dead

MOST = 1e-9  # relative change that steps in between make

Errors = dict[str, Tensor]  # that layers send, by layer name


def check_sent_errors(rule: Rule) -> CheckResults:
    """Yield one check.

    The error at a layer's input must be finite and not 0. For the samples whose labels change, it must change. When W,
    B and the rule's state are again what they were some steps before, the same batch must send the same error.
    """
    testbed = Testbed.build(rule, dtype=torch.float64, norms=False)
    first = _sent(testbed, 0, 0)
    if not first:
        yield SkippedCheck("sent error", "no layer that the rule covers sends an error")
        return
    saved = save(testbed)
    faults = _faults(first, _sent(testbed, 1, 1))
    train(testbed, (1, 2))
    later = _sent(testbed, 2, 0)
    faults |= {name: f"{fault} after two steps" for name, fault in _faults(later, _sent(testbed, 3, 1)).items()}
    load(testbed, saved)
    again = _sent(testbed, 4, 0)
    changed = [name for name in first if not _change(first[name], again[name]) <= MOST]
    faults = dict.fromkeys(changed, "depends on other steps") | faults
    measured = "; ".join(f"{fault} ({name})" for name, fault in faults.items())
    promise = "The error that a layer sends back is finite, not 0, and follows this step's error and no other step's"
    yield Check("sent error", promise, "in every layer", measured or f"{len(first)} layers do", not faults)


def _faults(sent: Errors, relabeled: Errors) -> dict[str, str]:
    """Return what is wrong with the errors, by layer. ``relabeled``: with other labels of the first samples."""
    return {name: fault for name, error in sent.items() if (fault := _fault(error, relabeled[name]))}


def _fault(error: Tensor, relabeled: Tensor) -> str:
    if not bool(error.isfinite().all() and relabeled.isfinite().all()):
        return "not finite"
    if not bool(error.any()):
        return "0"
    change = _change(error[:RELABELED], relabeled[:RELABELED])
    return "" if change > LEAST else "the same for other labels"


def _change(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm()) / max(float(one.norm()), float(other.norm()), 1e-30)


def _sent(testbed: Testbed, seed: int, shift: int) -> Errors:
    """Return the error that each layer sends in one pass, with the labels of the first samples changed by ``shift``.
    ``seed``: of the global random states, which must not matter."""
    x, y = batch(0, testbed.dtype)
    y = torch.cat([(y[:RELABELED] + shift) % CLASSES, y[RELABELED:]])
    found: Errors = {}
    hooks = [layer.register_forward_pre_hook(_watch(found)) for layer in testbed.layers]
    with preserved_random_state(torch.device("cpu"), seed=seed):
        F.cross_entropy(testbed.model(x), y).backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.remove()
    clear_caches(testbed.layers)
    return found


def _watch(found: Errors) -> Callable[[FeedbackLayer, tuple[Tensor, ...]], tuple[Tensor, ...] | None]:
    def watch(layer: FeedbackLayer, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not inputs[0].requires_grad:
            return None  # the first layer sends no error
        x = inputs[0].clone()
        x.register_hook(lambda error: found.__setitem__(layer.name, error.detach().clone()))  # type: ignore[no-untyped-call]
        return (x,)

    return watch
