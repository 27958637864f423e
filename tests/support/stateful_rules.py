"""Custom rules that keep state between steps: some as nowt can save it, and some as it cannot."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nowt.rules.base import FeedbackLayer, Moment
from nowt.rules.feedback_alignment import FeedbackAlignment


@dataclass(frozen=True)
class FollowsActivity(FeedbackAlignment):
    """B drifts along the correlation of a layer's input and output, which ``propagate`` leaves for ``after_step``."""

    name: ClassVar[str] = "follows"

    def propagate(self, layer: FeedbackLayer, x: Tensor) -> Tensor:
        y = super().propagate(layer, x)
        layer.activity = x.detach().flatten(1), y.detach().flatten(1)  # type: ignore[assignment]
        return y

    def after_step(self, layers: Sequence[FeedbackLayer], moment: Moment) -> int:
        for layer in layers:
            x, y = layer.activity  # type: ignore[misc]
            layer.feedback.mul_(0.99).add_(0.001 * (y.t() @ x))
        return 0


@dataclass(frozen=True)
class PlainTrace(FollowsActivity):
    """Keeps a running mean as an attribute of the layer, which no checkpoint contains."""

    name: ClassVar[str] = "plain trace"

    def after_step(self, layers: Sequence[FeedbackLayer], moment: Moment) -> int:
        for layer in layers:
            mean = layer.activity[1].mean()  # type: ignore[index]
            layer.trace = 0.9 * layer.trace + mean if hasattr(layer, "trace") else mean  # type: ignore[operator, has-type]
            layer.feedback.mul_(1 + 1e-3 * layer.trace)  # type: ignore[operator]
        return 0


STEPS: list[int] = []  # of ModuleMemory, which must not keep them here


@dataclass(frozen=True)
class ModuleMemory(FeedbackAlignment):
    """Counts its steps in a variable of its module."""

    name: ClassVar[str] = "module memory"

    def after_step(self, layers: Sequence[FeedbackLayer], moment: Moment) -> int:
        STEPS.append(moment.step)
        for layer in layers:
            layer.feedback.mul_(1 + 1e-3 * len(STEPS))
        return 0


@dataclass(frozen=True)
class DrawsElsewhere(FeedbackAlignment):
    """Draws from the random states of Python and NumPy."""

    name: ClassVar[str] = "draws elsewhere"

    def after_step(self, layers: Sequence[FeedbackLayer], moment: Moment) -> int:
        for layer in layers:
            layer.feedback.mul_(0.9 + 0.1 * random.random() + 0.1 * np.random.rand())
        return 0


@dataclass(frozen=True)
class PreparedTrace(FeedbackAlignment):
    """Counts its steps in an attribute that ``prepare`` set."""

    name: ClassVar[str] = "prepared trace"

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        layer.count = 0  # type: ignore[assignment]

    def after_step(self, layers: Sequence[FeedbackLayer], moment: Moment) -> int:
        for layer in layers:
            layer.count += 1  # type: ignore[operator, assignment]
        return 0


@dataclass(frozen=True)
class OwnMemory(FeedbackAlignment):
    """Keeps state on the rule itself."""

    name: ClassVar[str] = "own memory"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "memory", {})

    def after_step(self, layers: Sequence[FeedbackLayer], moment: Moment) -> int:
        for layer in layers:
            self.memory[layer.name] = layer.weight.detach().mean()  # type: ignore[attr-defined]
        return 0


@dataclass(frozen=True)
class CountsForwardPasses(FeedbackAlignment):
    """Changes registered state in ``propagate``, which the alignment probe calls, too."""

    name: ClassVar[str] = "counts passes"

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        layer.register_state("passes", torch.zeros(()))

    def propagate(self, layer: FeedbackLayer, x: Tensor) -> Tensor:
        layer.passes.add_(1)  # type: ignore[operator]
        return super().propagate(layer, x)


@dataclass(frozen=True)
class HiddenCount(CountsForwardPasses):
    """Counts forward passes through ``.data``, which torch does not count as a change."""

    name: ClassVar[str] = "hidden count"

    def propagate(self, layer: FeedbackLayer, x: Tensor) -> Tensor:
        layer.passes.data += 1  # type: ignore[operator, union-attr]
        return FeedbackAlignment.propagate(self, layer, x)


@dataclass(frozen=True)
class LocalStatistics(FollowsActivity):
    """Registers a mean over the worker's own images as a buffer, and forgets to sum it over the workers."""

    name: ClassVar[str] = "local statistics"

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        layer.register_buffer("mean", layer.weight.new_zeros(()))

    def after_step(self, layers: Sequence[FeedbackLayer], moment: Moment) -> int:
        for layer in layers:
            layer.mean.lerp_(layer.activity[1].mean(), 0.1)  # type: ignore[operator, index]
        return 0
