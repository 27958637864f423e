"""What the optimizer makes of a step's gradients, computed by a second optimizer from the run's config.

A rule may hook the run's optimizer, change its settings, or hand it other gradients than those of the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nowt.training.optimizer import optimizer_of, parameter_groups, set_learning_rate
from nowt.training.schedule import learning_rate
from nowt.training.step_snapshot import StepSnapshot

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

SETTINGS = "the settings of the optimizer"

ROUNDINGS = 8  # units of the last place by which an entry may differ


@dataclass(frozen=True)
class ExpectedUpdate:
    """The parameters as a step should have left them, and the optimizer that did it.

    Attributes:
        optimizer: A second optimizer with the settings of the run, after its step.
        copies: Each of the run's parameters, and its copy in this optimizer.
    """

    optimizer: torch.optim.Optimizer
    copies: dict[Tensor, nn.Parameter]


def expected_update(
    training: "TrainingState", before: StepSnapshot, gradients: Mapping[Tensor, Tensor]
) -> ExpectedUpdate:
    """Return what the step just done should have made of the parameters, with the gradients that it used.

    A B that learns from W's gradient gets this gradient times the rule's rate.
    """
    config = training.config
    groups = parameter_groups(config.optim, training.model, training.layers)
    copies = {p: nn.Parameter(before.value(p).clone()) for group in groups for p in group["params"]}
    optimizer = optimizer_of(
        config.optim, [{**group, "params": [copies[p] for p in group["params"]]} for group in groups]
    )
    rate = learning_rate(config.optim, training.step - 1, training.steps_per_epoch, config.epochs)
    set_learning_rate(optimizer, rate)
    learned = {layer.feedback: layer.weight for layer in training.layers if config.rule.update == "with_weight"}
    for parameter, own in copies.items():
        gradient = gradients.get(learned.get(parameter, parameter))
        own.grad = gradient if gradient is None or parameter not in learned else gradient * config.rule.rate()
        if kept := before.optimizer_state(parameter):
            optimizer.state[own] = kept
    optimizer.step()
    return ExpectedUpdate(optimizer, copies)


@torch.no_grad()
def wrong_update(training: "TrainingState", before: StepSnapshot, expected: ExpectedUpdate) -> str:
    """Return which of the network's parameters, or what the optimizer keeps of it, is not what is expected; empty
    without any. Settings of the optimizer count as well."""
    if not _same_settings(training.optimizer, expected):
        return SETTINGS
    registered = {id(layer.get_parameter(name)) for layer in training.layers for name in layer.state_names}
    for name, p in training.model.named_parameters():
        if id(p) in registered or p not in expected.copies:
            continue
        copy = expected.copies[p]
        if not _is_close(p, copy, before.value(p)):
            return name
        for key, value in expected.optimizer.state.get(copy, {}).items():
            if isinstance(value, Tensor) and not _is_close(training.optimizer.state[p][key], value, value):
                return f"{key} of {name}"
    return ""


def _is_close(found: Tensor, expected: Tensor, before: Tensor) -> bool:
    """Return whether each entry is what is expected, to the rounding of its own size."""
    if not found.is_floating_point():
        return torch.equal(found, expected)
    same = (found == expected) | (found.isnan() & expected.isnan())
    sizes = torch.maximum(expected.abs(), before.abs())
    near = (found - expected).abs() <= ROUNDINGS * torch.finfo(found.dtype).eps * sizes
    return bool((same | near).all())


def _same_settings(optimizer: torch.optim.Optimizer, expected: ExpectedUpdate) -> bool:
    """Return whether the optimizer has the expected settings and keeps the expected state, and no other ones.

    Settings of how torch computes, such as ``fused``, are true, false or None; in a checkpoint of an earlier version,
    they may be others.
    """
    wanted = expected.optimizer.param_groups
    kept = all(
        set(optimizer.state.get(p, {})) == set(expected.optimizer.state.get(copy, {}))
        for p, copy in expected.copies.items()
    )
    return kept and all(
        set(group) <= set(other)
        and [expected.copies.get(p) for p in group["params"]] == other["params"]
        and all(value == other[key] for key, value in group.items() if key != "params" and not _is_flag(value))
        for group, other in zip(optimizer.param_groups, wanted, strict=True)
    )


def _is_flag(value: object) -> bool:
    return value is None or isinstance(value, bool)
