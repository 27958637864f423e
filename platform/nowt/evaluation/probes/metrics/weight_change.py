"""Relative distance of W from its initial value: |W_t − W_0| / |W_0|, for each layer and over all W of the network.

W_0 is drawn again from the run's seed, so no checkpoint of epoch 0 is needed. Small values in a trained network
indicate the "lazy" regime: Chizat, Oyallon and Bach (2019), "On lazy training in differentiable programming".
"""

import math

from torch import Tensor, nn

from nowt.evaluation.probes.model_state import trained_weights
from nowt.evaluation.probes.results import WHOLE_NETWORK


def measure(model: nn.Module, start: nn.Module) -> dict[str, float]:
    """Return the ratio over all W, and for each layer; NaN if the initial W is 0."""
    before = {name: weight.detach().double() for name, weight in trained_weights(start).items()}
    after = {name: weight.detach().double() for name, weight in trained_weights(model).items()}
    moved = {name: _norm(after[name] - before[name]) for name in after}
    sizes = {name: _norm(before[name]) for name in after}
    network = _ratio(math.hypot(*moved.values()), math.hypot(*sizes.values()))
    return {WHOLE_NETWORK: network, **{name: _ratio(moved[name], sizes[name]) for name in after}}


def _norm(weight: Tensor) -> float:
    return float(weight.norm())


def _ratio(moved: float, size: float) -> float:
    return moved / size if size > 0 else math.nan
