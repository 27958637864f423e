"""How near B is to W before the first step: farther from 90° than by chance, B was made from W."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nowt.layers.views import feedback_of
from nowt.rules.base import Rule, overrides
from nowt.rules.feedback_layer import FeedbackLayer

SIGMAS = 4.0  # within which cos(B, W) of independent B and W lies in all but 1 of 16,000 layers

FORMS = 2  # in which B is compared with W


@torch.no_grad()
def largest_cosine(layer: FeedbackLayer) -> float:
    """Return the cosine between W and the tensor of W's shape that is nearest to it, among those that the rule
    registered and the weights that carry the error back. NaN if there is no such tensor.

    Each is compared with W in two forms. Its mean is subtracted: entries that are all positive are no alignment. It is
    also made orthonormal, so that a large matrix of low rank, which may have no effect on learning, hides nothing.
    """
    weight = layer.weight.detach()
    cosines = [_cosine(form, weight) for value in _candidates(layer) for form in (value, _orthonormal(value))]
    return max(filter(math.isfinite, cosines), key=abs, default=math.nan)


def cosine_problem(rule: Rule, layers: Sequence[FeedbackLayer], cosines: dict[str, float]) -> str:
    """Return which layer's B is nearer to W than by chance, in a few words; empty if none is, or if the rule declares
    an angle at which B starts.

    By chance, the cosine of n entries has standard deviation 1/√n. The limit of 4/√n for one comparison grows slowly
    with their number, so that it is by chance exceeded in as few runs.
    """
    declared = rule.initialization()
    if declared is not None and declared.angle not in (None, 90):
        return ""
    sigmas = math.sqrt(SIGMAS**2 + 2 * math.log(max(1, FORMS * len(layers))))
    for layer in layers:
        limit = sigmas / math.sqrt(layer.weight.numel())
        if abs(cosines[layer.name]) > limit:
            found = f"cos(B, W) is {cosines[layer.name]:.3f}, and by chance at most {limit:.3f}"
            return f"B of layer {layer.name} starts from W: {found}"
    return ""


def _candidates(layer: FeedbackLayer) -> Iterator[Tensor]:
    values = [layer.get_parameter(name).detach() for name in layer.state_names]
    values = [value for value in values if value.is_floating_point()]  # no mask or counter
    if overrides(layer.rule, "feedback") and not overrides(layer.rule, "send_back"):
        values.append(feedback_of(layer).detach())
    yield from (value for value in values if value.shape == layer.weight.shape and value.isfinite().all())


def _orthonormal(value: Tensor) -> Tensor:
    """Return an orthonormal basis of the columns of a matrix, or of its rows if these are fewer, in its shape."""
    matrix = (value - value.mean()).flatten(1)
    if matrix.dtype not in (torch.float32, torch.float64):
        matrix = matrix.float()
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.t()
    basis: Tensor = torch.linalg.qr(tall).Q
    return (basis if tall is matrix else basis.t()).reshape(value.shape)


def _cosine(one: Tensor, other: Tensor) -> float:
    a, b = (value.double().flatten() - value.double().mean() for value in (one, other))
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size > 0 else math.nan
