"""The audit of what a rule does before the first step: it prepares its layers and may learn from mirror noise.

Both are done twice more, on copies of the layers: with W as it is, and with another W. Mirror noise is answered by the
run's own layers. No training image has been seen, so whatever differs was read from W.
"""

import math
import secrets
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nowt.core.random_state import preserved_random_state
from nowt.layers.mirror_mode import response
from nowt.layers.private_weights import layers_with_private_weights
from nowt.layers.rule_steps import RuleSteps
from nowt.layers.views import prepare
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_noise import MirrorNoise
from nowt.store.audits import Audit
from nowt.training.audit_comparison import TOLERANCES, Numbers, largest_over_workers, state_changes
from nowt.training.initial_cosines import cosine_problem, largest_cosine
from nowt.training.step_numbers import copy_state

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

READ = "changes with W before any activity"


def audit_initial_feedback(training: "TrainingState") -> Audit:
    """Audit the preparation and the work before learning. Call it before the latter."""
    layers = layers_with_private_weights(training.model, training.layers)
    cosines = {layer.name: largest_cosine(layer) for layer in training.layers}
    tolerance = TOLERANCES[training.config.precision]
    seed = secrets.randbits(63)
    one, other = (_begun(training, layers, generator) for generator in (None, torch.Generator().manual_seed(seed)))
    zeros = {name: torch.zeros_like(value) for name, value in one.items()}
    changes = largest_over_workers(state_changes(zeros, one, other, tolerance), training.group)
    largest = max(changes, key=lambda name: changes[name], default="")
    where = next((name for name, change in changes.items() if change > tolerance.change), largest)
    change = changes.get(where, 0.0)
    problem = f"{where} {READ} (by {change:.1e}, nothing explains a change)" if change > tolerance.change else ""
    problem = problem or cosine_problem(training.config.rule, training.layers, cosines)
    known = {name: value for name, value in cosines.items() if math.isfinite(value)}
    return Audit(0, problem, change=change, allowed=tolerance.change, where=where, hidden=len(layers), cosines=known)


def _begun(training: "TrainingState", layers: Sequence[FeedbackLayer], generator: torch.Generator | None) -> Numbers:
    """Prepare copies of the layers and do the work before learning on them; return the rule's state. With a
    ``generator``, their W is changed after nowt has drawn B."""
    seeds, true = training.seeds, {layer.name: layer for layer in layers}
    assert seeds.feedback is not None
    between = None if generator is None else partial(_replace_weight, generator)
    copies = [_bare_copy(layer) for layer in layers]
    with preserved_random_state(training.device, training.config.seed), torch.no_grad():
        for layer in copies:
            prepare(layer, seeds.feedback, between)
        moment = replace(training.moment, respond=partial(_respond, true))
        RuleSteps(training.config.rule, copies).before_learning(moment)
    return copy_state(copies)


def _bare_copy(layer: FeedbackLayer) -> FeedbackLayer:
    """Return a copy of the layer with a W of its own, and without what the rule registered."""
    found = copy(layer)
    kept = {name: value for name, value in layer._parameters.items() if name not in layer.state_names}
    found.__dict__["_parameters"] = kept | {"weight": nn.Parameter(layer.weight.detach().clone())}
    found.__dict__["tied"] = ()
    if layer.output_layer is layer:
        found.__dict__["output_layer"] = found
    return found


def _replace_weight(generator: torch.Generator, layer: FeedbackLayer) -> None:
    weight = layer.weight.data
    drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64) * float(weight.double().std())
    weight.copy_(drawn)


def _respond(true: dict[str, FeedbackLayer], layer: FeedbackLayer, noise: MirrorNoise, x: Tensor) -> Tensor:
    return response(true[layer.name], noise, x)
