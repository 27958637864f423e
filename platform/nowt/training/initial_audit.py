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

from nowt.core.errors import ConfigError
from nowt.core.random_state import preserved_random_state
from nowt.layers.mirror_mode import response
from nowt.layers.private_weights import layers_with_private_weights
from nowt.layers.replay import recorded_maps, replayed_maps
from nowt.layers.rule_steps import RuleSteps
from nowt.layers.views import prepare
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_noise import MirrorNoise
from nowt.store.audits import Audit
from nowt.training.audit_comparison import Numbers, changes_between, largest_over_workers
from nowt.training.changed_step import replace_numbers
from nowt.training.initial_cosines import cosine_problem, largest_cosine
from nowt.training.step_numbers import copy_state

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

READ = "changes with W before any activity"


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
    is_foreign = training.audits.is_rule_code
    with recorded_maps(layers, is_foreign) as recorded:
        one = _begun(training, layers, weights)
    generator = torch.Generator().manual_seed(secrets.randbits(63))
    with replayed_maps(layers, recorded, is_foreign), _other_weights(layers, weights, generator):
        other = _begun(training, layers, weights, generator)
    known = {name: value for name, value in cosines.items() if math.isfinite(value)}
    audit = _judged(training, Audit(0, hidden=len(layers), cosines=known), layers, one, other, READ)
    problem = audit.problem or cosine_problem(training.config.rule, training.layers, cosines)
    return InitialAudit(replace(audit, problem=problem), layers, one)


def check_same_start(training: "TrainingState", found: InitialAudit) -> Audit:
    """Return the audit; it counts as not examined if the copies' state is another one each time.

    Raises ConfigError if only the run's own state, after its work before learning, is not that of the copies.
    """
    if found.audit.problem or not found.audit.examined:
        return found.audit
    own = _judged(training, found.audit, found.layers, found.state, copy_state(found.layers), "")
    if own.problem:
        raise ConfigError(
            f"rule {training.config.rule.name}: {own.where} is not what prepare() and mirror steps before learning "
            "make of the same layers once more: these must depend on layer, seed and noise alone, and feedback() and "
            "send_back() must change no state"
        )
    return own


def _judged(
    training: "TrainingState", audit: Audit, layers: Sequence[FeedbackLayer], one: Numbers, other: Numbers, what: str
) -> Audit:
    """Return the audit with the first change from ``one`` to ``other``, which ``what`` describes.

    What also changes when the layers are prepared once more as they are shows nothing of W.
    """
    changes = largest_over_workers(changes_between(one, other), training.group)
    if not any(changes.values()):
        return audit
    again = _begun(training, layers, [layer.weight for layer in layers])
    same = largest_over_workers(changes_between(one, again), training.group)
    read = [name for name, change in changes.items() if change and not same.get(name)]
    where = next(iter(read), next(name for name, change in changes.items() if change))
    audit = replace(audit, change=changes[where], where=where)
    return replace(audit, problem=f"{where} {what}") if read else replace(audit, examined=False, irregular=True)


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
    return found


def _replace(generator: torch.Generator, layer: FeedbackLayer) -> None:
    replace_numbers(layer.weight, generator)


def _respond(true: dict[str, FeedbackLayer], layer: FeedbackLayer, noise: MirrorNoise, x: Tensor) -> Tensor:
    return response(true[layer.name], noise, x)
