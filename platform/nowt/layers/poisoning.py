"""Stub."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from nowt.rules.feedback_layer import FeedbackLayer

MAPS = ("apply_with_feedback", "apply_plain", "apply_weight")


@contextmanager
def poisoned(
    layers: Sequence[FeedbackLayer], optimizer: torch.optim.Optimizer, generator: torch.Generator
) -> Iterator[None]:
    """Stub."""
    other = {}
    for layer in layers:
        w = layer.weight
        other[w] = (torch.randn(w.shape, generator=generator) * float(w.detach().std())).to(w)

    def swap(w: Tensor) -> None:
        held = w.data.clone()
        w.data.copy_(other[w])
        other[w].copy_(held)

    @contextmanager
    def lifted(ws: Sequence[Tensor]) -> Iterator[None]:
        for w in ws:
            swap(w)
        try:
            yield
        finally:
            for w in ws:
                swap(w)

    def wrapped(f: Callable[..., Any], ws: Sequence[Tensor]) -> Callable[..., Any]:
        def g(*a: Any, **k: Any) -> Any:
            with lifted(ws):
                return f(*a, **k)

        return g

    every = [one for layer in layers for one in (layer, *layer.tied)]
    for one in every:
        one.__dict__.update({m: wrapped(getattr(one, m), [one.weight]) for m in MAPS})
    step = optimizer.step
    optimizer.step = wrapped(step, list(other))  # type: ignore
    for w in other:
        swap(w)
    try:
        yield
    finally:
        for w in other:
            swap(w)
        del optimizer.__dict__["step"]
        for one in every:
            for m in MAPS:
                del one.__dict__[m]
