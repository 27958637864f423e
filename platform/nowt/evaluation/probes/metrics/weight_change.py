"""How far learning moved W: |W_t − W_0| / |W_0|, by layer and over all W of the network.

W_0 is the start that the run's seed draws, so epoch 0 needs no checkpoint. Small values for a trained network are the
"lazy" regime (Chizat, Oyallon and Bach 2019, "On lazy training in differentiable programming").
"""

import math

from torch import Tensor, nn

from nowt.evaluation.probes.isolation import weights_of
from nowt.evaluation.probes.results import WHOLE


def measure(model: nn.Module, start: nn.Module) -> dict[str, float]:
    """The ratio over all W, and over each layer's; NaN where W started at 0."""
    before = {name: weight.detach().double() for name, weight in weights_of(start).items()}
    after = {name: weight.detach().double() for name, weight in weights_of(model).items()}
    moved = {name: _size(after[name] - before[name]) for name in after}
    sizes = {name: _size(before[name]) for name in after}
    whole = _ratio(math.hypot(*moved.values()), math.hypot(*sizes.values()))
    return {WHOLE: whole, **{name: _ratio(moved[name], sizes[name]) for name in after}}


def _size(weight: Tensor) -> float:
    return float(weight.norm())


def _ratio(moved: float, size: float) -> float:
    return moved / size if size > 0 else math.nan
