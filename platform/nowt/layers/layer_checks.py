"""Whether a rule works on a layer that it covers, seen from W before anything has changed."""

from typing import cast

import torch
from torch import Tensor, nn

from nowt.rules.base import Rule
from nowt.rules.own_weight import OWN_WEIGHT_ADVICE, has_own_weight

HALF = (torch.float16, torch.bfloat16)


def check_layer(rule: Rule, name: str, last: bool, layer: nn.Module) -> None:
    """Raise ValueError unless ``rule`` works on the layer ``name``; ``last``: it is the last one of the network."""
    advice = rule.exclusion(name, last)
    if rule.learns_from and not has_own_weight(layer):
        sources = ", ".join(n for n, _ in layer.named_parameters(recurse=False) if n.startswith("weight"))
        raise ValueError(
            f"layer {name} computes its weight from other parameters ({sources}), so its B cannot learn by rule "
            f"{rule.name}: {OWN_WEIGHT_ADVICE}, use a rule with a fixed B such as fa, or {advice}"
        )
    weight = cast(Tensor, layer.weight).detach()
    if "gradient" in rule.signals:
        _check_gradient(rule, name, cast(Tensor, layer.weight), advice)
    _check_mirror(rule, name, weight, advice)
    _check_initialization(rule, name, weight, advice)


def _check_gradient(rule: Rule, name: str, weight: Tensor, advice: str) -> None:
    if weight.dtype in HALF:
        raise ValueError(half_weight(rule, name, weight.dtype))
    if not weight.requires_grad:
        raise ValueError(
            f"layer {name} is not trained (its weight has requires_grad=False), so its B never learns by rule "
            f"{rule.name}: train the layer, or {advice}"
        )


def half_weight(rule: Rule, name: str, dtype: torch.dtype) -> str:
    """Return why B cannot learn in half precision."""
    return (
        f"layer {name} has weights in {dtype}, in which the small updates by which rule {rule.name} aligns B are "
        "rounded away: keep W in float32 and use torch.autocast"
    )


def _check_mirror(rule: Rule, name: str, weight: Tensor, advice: str) -> None:
    """Raise ValueError if W starts at 0 and mirror mode ends before W changes, so that B would stay 0."""
    noise = rule.mirror_noise()
    if noise is not None and noise.interval == 0 and noise.burst == 0 and not weight.any():
        raise ValueError(
            f"all weights of layer {name} start at 0 and rule.interval is 0, so its B would stay 0: set "
            f"rule.interval above 0, give the layer another initialization, or {advice}"
        )


def _check_initialization(rule: Rule, name: str, weight: Tensor, advice: str) -> None:
    """Raise ValueError if no B can be drawn that differs from W, or if its magnitudes would stay 0.

    Without an angle, mirror mode learns B whatever its initial value is.
    """
    declared = rule.initialization()
    lowest, highest = weight.aminmax()
    if declared is None or lowest != highest:
        return
    if "sign" in rule.signals:
        if lowest == 0 or declared.distribution in ("normal", "uniform"):
            raise ValueError(
                f"all weights of layer {name} start at {float(lowest):g}, so the magnitudes of B would stay 0: give "
                f"the layer another initialization, or {advice}"
            )
    elif not (rule.learns_from == "mirror" and declared.angle is None):
        raise ValueError(
            f"all weights of layer {name} start at {float(lowest):g}, so a B drawn from their distribution would "
            f"be W itself: give the layer another initialization, or {advice}"
        )
