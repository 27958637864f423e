"""The audit of what a rule does before the first step: it prepares its layers and may learn from mirror noise.

Both are done twice more, on copies of the layers: with W as it is, and while the memory of every W, the run's own
included, holds other numbers. Mirror noise is answered as by the run's own layers. No training image has been seen, so
whatever differs was read from W.
"""

import math
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nowt.core.random_state import preserved_random_state
from nowt.layers.mirror_mode import response
from nowt.layers.private_weights import layers_with_private_weights
from nowt.layers.replay import recorded_maps, replayed_maps
from nowt.layers.rule_steps import RuleSteps
from nowt.layers.views import prepare
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_noise import MirrorNoise
from nowt.store.audits import Audit
from nowt.training.audit_comparison import Changes, Numbers, changes_between, largest_over_workers
from nowt.training.changed_step import replace_numbers
from nowt.training.initial_cosines import cosine_problem, largest_cosine
from nowt.training.rule_code import is_code_of
from nowt.training.step_numbers import copy_state

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

READ = "changes with W before any activity"

OTHERWISE = "is not what the rule makes of the same layers once more"


@dataclass(frozen=True)
class InitialAudit:
    """What was found before the work before learning.

    Attributes:
        audit: The audit so far.
        layers: The layers that were copied.
        state: What the rule registered on the copies, after this work.
    """

    audit: Audit
    layers: Sequence[FeedbackLayer]
    state: Numbers


def audit_initial_feedback(training: "TrainingState") -> InitialAudit:
    """Audit the preparation and the work before learning. Call it before the latter."""
    layers = layers_with_private_weights(training.model, training.layers)
    cosines = {layer.name: largest_cosine(layer) for layer in training.layers}
    weights = [layer.weight.detach().clone() for layer in layers]
    is_foreign = is_code_of(training.config.rule, training.model)
    with recorded_maps(layers, is_foreign) as recorded:
        one = _begun(training, layers, weights)
    generator = torch.Generator().manual_seed(secrets.randbits(63))
    with replayed_maps(layers, recorded, is_foreign), _other_weights(layers, weights, generator):
        other = _begun(training, layers, weights, generator)
    changes = largest_over_workers(changes_between(one, other), training.group)
    where, problem = _first(changes, READ)
    problem = problem or cosine_problem(training.config.rule, training.layers, cosines)
    known = {name: value for name, value in cosines.items() if math.isfinite(value)}
    audit = Audit(0, problem, change=changes.get(where, 0.0), where=where, hidden=len(layers), cosines=known)
    return InitialAudit(audit, layers, one)


def complete_initial_audit(training: "TrainingState", found: InitialAudit) -> Audit:
    """Compare with the state of the run itself, after its work before learning."""
    changes = largest_over_workers(changes_between(found.state, copy_state(found.layers)), training.group)
    where, problem = _first(changes, OTHERWISE)
    if found.audit.problem or not problem:
        return found.audit
    return replace(found.audit, problem=problem, change=changes[where], where=where)


def _first(changes: Changes, what: str) -> tuple[str, str]:
    """Return the name of the first change, and a sentence about it; empty without a change."""
    where = next((name for name, change in changes.items() if change), "")
    return where, f"{where} {what}" if where else ""


def _begun(
    training: "TrainingState",
    layers: Sequence[FeedbackLayer],
    weights: Sequence[Tensor],
    generator: torch.Generator | None = None,
) -> Numbers:
    """Prepare copies of the layers and do the work before learning on them; return the rule's state.

    ``weights`` are the true W, from which nowt may draw B. With a ``generator``, the copies hold other numbers before
    and after that.
    """
    seeds, true = training.seeds, {layer.name: layer for layer in layers}
    assert seeds.feedback is not None
    copies = [_bare_copy(layer) for layer in layers]
    with preserved_random_state(training.device, training.config.seed), torch.no_grad():
        for layer, weight in zip(copies, weights, strict=True):
            layer.weight.data.copy_(weight)
            prepare(layer, seeds.feedback, None if generator is None else partial(_replace, generator))
        moment = replace(training.moment, respond=partial(_respond, true))
        RuleSteps(training.config.rule, copies).before_learning(moment)
    return copy_state(copies)


@contextmanager
def _other_weights(
    layers: Sequence[FeedbackLayer], weights: Sequence[Tensor], generator: torch.Generator
) -> Iterator[None]:
    for layer in layers:
        replace_numbers(layer.weight, generator)
    try:
        yield
    finally:
        for layer, weight in zip(layers, weights, strict=True):
            layer.weight.data.copy_(weight)


def _bare_copy(layer: FeedbackLayer) -> FeedbackLayer:
    """Return a copy of the layer with a W of its own, and without what the rule registered."""
    found = copy(layer)
    kept = {name: value for name, value in layer._parameters.items() if name not in layer.state_names}
    found.__dict__["_parameters"] = kept | {"weight": nn.Parameter(layer.weight.detach().clone())}
    found.__dict__["tied"] = ()
    if layer.output_layer is layer:
        found.__dict__["output_layer"] = found
    return found


def _replace(generator: torch.Generator, layer: FeedbackLayer) -> None:
    replace_numbers(layer.weight, generator)


def _respond(true: dict[str, FeedbackLayer], layer: FeedbackLayer, noise: MirrorNoise, x: Tensor) -> Tensor:
    return response(true[layer.name], noise, x)
