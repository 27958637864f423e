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

MOST = 16  # tensors of W's size that are taken from one registered tensor


@torch.no_grad()
def largest_cosine(layer: FeedbackLayer) -> float:
    """Return the cosine between W and the tensor of W's shape that is nearest to it, among those that the rule
    registered and the weights that carry the error back. NaN if there is no such tensor.

    Each is compared with W in two forms. Its mean is subtracted: entries that are all positive are no alignment. It is
    also made orthonormal, so that a large matrix of low rank, which may have no effect on learning, hides nothing.
    """
    weight = layer.weight.detach()
    same = [value for value in _candidates(layer) if value.shape == weight.shape]
    cosines = [_cosine(form, weight) for value in same for form in (value, _orthonormal(value))]
    return max(filter(math.isfinite, cosines), key=abs, default=math.nan)


@torch.no_grad()
def multiple_correlation(layer: FeedbackLayer) -> tuple[float, int]:
    """Return how well W is a sum of multiples of what the rule registered, and of how many tensors.

    It is the multiple correlation, from 0 to 1: the cosine between W and its projection on the space that these tensors
    span, each as it is and transposed. Means are subtracted.
    """
    weight = _centered(layer.weight.detach().flatten(1))
    rows = [row for value in _candidates(layer) for row in _orders(value.flatten(), layer.weight)]
    if not rows or len(rows) >= len(weight):
        return 0.0, len(rows)
    spanned = torch.linalg.qr(torch.stack(rows, 1)).Q
    size = float(weight.norm())
    return (float((spanned.t() @ weight).norm()) / size if size > 0 else 0.0), len(rows)


def cosine_problem(rule: Rule, layers: Sequence[FeedbackLayer], cosines: dict[str, float]) -> str:
    """Return which layer's B is nearer to W than by chance, in a few words; empty if none is, or if the rule declares
    an angle at which B starts.

    By chance, the cosine of n entries has standard deviation 1/√n. The limit of 4/√n for one comparison grows slowly
    with their number, so that it is by chance exceeded in as few runs. The square of the multiple correlation with m
    tensors has χ² with m degrees of freedom, divided by n; its limit is that of Laurent and Massart (2000).
    """
    declared = rule.initialization()
    if declared is not None and declared.angle not in (None, 90):
        return ""
    tail = SIGMAS**2 / 2 + math.log(max(1, FORMS * len(layers)))  # −ln of the chance
    for layer in layers:
        count = layer.weight.numel()
        limit = math.sqrt(2 * tail / count)
        if abs(cosines[layer.name]) > limit:
            found = f"cos(B, W) is {cosines[layer.name]:.3f}, and by chance at most {limit:.3f}"
            return f"B of layer {layer.name} starts from W: {found}"
        correlation, tensors = multiple_correlation(layer)
        limit = math.sqrt((tensors + 2 * math.sqrt(tensors * tail) + 2 * tail) / count)
        if correlation > limit:
            found = f"the multiple correlation is {correlation:.3f}, and by chance at most {limit:.3f}"
            return f"W of layer {layer.name} is a sum of what the rule registered at the start: {found}"
    return ""


def _candidates(layer: FeedbackLayer) -> Iterator[Tensor]:
    """Yield all tensors of W's size, in any shape, that the rule registered or makes of it."""
    values = [layer.get_parameter(name).detach() for name in layer.state_names]
    if overrides(layer.rule, "feedback") and not overrides(layer.rule, "send_back"):
        values.append(feedback_of(layer).detach())
    size = layer.weight.numel()
    for value in values:
        parts = value.numel() // size
        if not value.is_floating_point() or value.numel() % size or not value.isfinite().all():
            continue  # a mask, a counter, or of another size
        if parts == 1:
            yield value
        elif parts <= MOST:
            yield from value.reshape(parts, size)


def _orders(flat: Tensor, weight: Tensor) -> Iterator[Tensor]:
    """Yield the entries of a candidate in W's order, if it is stored as W is, and if it is stored transposed."""
    transposed = flat.view(-1, len(weight)).t()
    for order in (flat, transposed):
        row = _centered(order)
        if float(row.norm()) > 0:
            yield row / row.norm()


def _centered(value: Tensor) -> Tensor:
    flat = value.double().flatten()
    return flat - flat.mean()


def _orthonormal(value: Tensor) -> Tensor:
    """Return an orthonormal basis of the columns of a matrix, or of its rows if these are fewer, in its shape."""
    matrix = (value - value.mean()).flatten(1)
    if matrix.dtype not in (torch.float32, torch.float64):
        matrix = matrix.float()
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.t()
    basis: Tensor = torch.linalg.qr(tall).Q
    return (basis if tall is matrix else basis.t()).reshape(value.shape)


def _cosine(one: Tensor, other: Tensor) -> float:
    a, b = _centered(one), _centered(other)
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size > 0 else math.nan
