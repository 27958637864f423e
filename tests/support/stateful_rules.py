"""Custom rules that keep state between steps: some as nowt can save it, and some as it cannot."""

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView


@dataclass(frozen=True)
class FollowsActivity(FeedbackAlignment):
    """B drifts along the correlation of a layer's input and output, which ``observe`` leaves for ``after_step``."""

    name: ClassVar[str] = "follows"
    signals: ClassVar[tuple[str, ...]] = ("input", "preactivation")

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert x is not None and y is not None
        layer.cache.update(x=x.flatten(1), y=y.flatten(1))

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.mul_(0.99).add_(0.001 * (layer.cache["y"].t() @ layer.cache["x"]))


@dataclass(frozen=True)
class PlainTrace(FollowsActivity):
    """Keeps a running mean as an attribute of the layer, which no checkpoint contains."""

    name: ClassVar[str] = "plain trace"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.trace = layer.cache["y"].mean()  # type: ignore[misc]


STEPS: list[int] = []  # of ModuleMemory, which must not keep them here


@dataclass(frozen=True)
class ModuleMemory(FeedbackAlignment):
    """Counts its steps in a variable of its module."""

    name: ClassVar[str] = "module memory"

    def after_step(self, layer: LayerView, step: int) -> None:
        STEPS.append(step)
        layer.feedback.mul_(1 + 1e-3 * len(STEPS))


@dataclass(frozen=True)
class DrawsElsewhere(FeedbackAlignment):
    """Draws from the random states of Python and NumPy."""

    name: ClassVar[str] = "draws elsewhere"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.mul_(0.9 + 0.1 * random.random() + 0.1 * np.random.rand())


@dataclass(frozen=True)
class PreparedTrace(FeedbackAlignment):
    """Counts its steps in an attribute of the registered B."""

    name: ClassVar[str] = "prepared trace"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.count = getattr(layer.feedback, "count", 0) + 1


@dataclass(frozen=True)
class RegistersLate(FeedbackAlignment):
    """Registers a tensor in a step."""

    name: ClassVar[str] = "registers late"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.register_state("count", torch.zeros(()))


@dataclass(frozen=True)
class OwnMemory(FeedbackAlignment):
    """Keeps state on the rule itself."""

    name: ClassVar[str] = "own memory"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "memory", {})

    def after_step(self, layer: LayerView, step: int) -> None:
        self.memory[layer.name] = step  # type: ignore[attr-defined]


@dataclass(frozen=True)
class CountsForwardPasses(FeedbackAlignment):
    """Changes registered state in ``feedback``, which the alignment probe calls, too."""

    name: ClassVar[str] = "counts passes"

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("passes", torch.zeros(()))

    def feedback(self, layer: LayerView) -> Tensor:
        layer.passes.add_(1)
        return super().feedback(layer)


@dataclass(frozen=True)
class HiddenCount(CountsForwardPasses):
    """Counts forward passes through ``.data``, which torch does not count as a change."""

    name: ClassVar[str] = "hidden count"

    def feedback(self, layer: LayerView) -> Tensor:
        layer.passes.data += 1
        return FeedbackAlignment.feedback(self, layer)


@dataclass(frozen=True)
class LocalStatistics(FollowsActivity):
    """Registers a mean over the worker's own images, and forgets to sum it over the workers."""

    name: ClassVar[str] = "local statistics"

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("mean", layer.new_zeros())

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.mean.lerp_(layer.cache["y"].mean(), 0.1)
