"""Rules that read W without declaring it, by many means and at every moment."""

import copy
import io
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from nowt.rules.feedback import DrawnFeedback
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.layer_view import LayerView
from nowt.rules.mirror_noise import MirrorSamples
from nowt.rules.weight_mirror import WeightMirror
from tests.support.stolen_layers import stolen_layer, stolen_optimizer

Read = Callable[[FeedbackLayer], Tensor]


def noisy(weight: Tensor) -> Tensor:
    return weight + 0.01 * weight.std() * torch.sin(12.9898 * torch.arange(weight.numel())).view_as(weight)


def by_thread(layer: FeedbackLayer) -> Tensor:
    found: list[Tensor] = []
    thread = threading.Thread(target=lambda: found.append(layer.weight.detach().clone()))
    thread.start()
    thread.join()
    return found[0]


def by_offset(layer: FeedbackLayer) -> Tensor:
    found = layer.feedback.clone().flatten()
    found[1:] = torch.from_numpy(layer.weight.detach().numpy().reshape(-1)[1:])
    return found.view_as(layer.weight)


def by_torch_save(layer: FeedbackLayer) -> Tensor:
    file = io.BytesIO()
    torch.save(layer.weight.detach(), file)
    file.seek(0)
    loaded: Tensor = torch.load(file)
    return loaded


def without_dispatch(layer: FeedbackLayer) -> Tensor:
    with _disable_current_modes():
        return layer.weight.detach().clone()


def by_bytes(layer: FeedbackLayer) -> Tensor:
    numbers = bytearray(layer.weight.detach().numpy().tobytes())
    return torch.frombuffer(numbers, dtype=layer.weight.dtype).view_as(layer.weight)


def by_one_hot_inputs(layer: FeedbackLayer) -> Tensor:
    weight = layer.weight.detach()
    unit = torch.eye(layer.fan_in, dtype=weight.dtype)
    if weight.dim() == 2:
        parts = [F.linear(part, weight) for part in unit.split(7)]
    else:
        parts = [F.conv2d(part, weight) for part in unit.view(-1, *weight.shape[1:]).split(7)]
    return torch.cat(parts).flatten(1).t().reshape(weight.shape)


def by_its_mirror_map(layer: FeedbackLayer) -> Tensor:
    weight = layer.weight.detach()
    unit = torch.eye(layer.fan_in, dtype=weight.dtype)
    probes = unit if weight.dim() == 2 else unit.view(-1, *weight.shape[1:])
    answers = layer.apply_weight(probes, padded=False)
    return answers.flatten(1).t().reshape(weight.shape)


def by_momentum(layer: FeedbackLayer) -> Tensor:
    """Solve v = μ v' + g + λ W for the part of W that decay adds."""
    buffer = stolen_optimizer().state.get(layer.weight, {}).get("momentum_buffer")
    return layer.feedback.detach() if buffer is None else 100 * buffer


READERS: dict[str, Read] = {
    "a copy": lambda layer: layer.weight.detach().clone(),
    "NumPy": lambda layer: torch.from_numpy(layer.weight.detach().numpy().copy()),
    "NumPy with noise": lambda layer: noisy(torch.from_numpy(layer.weight.detach().numpy().copy())),
    "an offset view": by_offset,
    "a list": lambda layer: torch.tensor(layer.weight.tolist(), dtype=layer.weight.dtype),
    "a thread": by_thread,
    "torch.save": by_torch_save,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer.weight.detach())),
    "deepcopy": lambda layer: copy.deepcopy(layer.weight).detach(),
    "bytes": by_bytes,
    "state_dict": lambda layer: 1.5 * layer.state_dict()["weight"],
    "no dispatch": without_dispatch,
    "one-hot inputs": by_one_hot_inputs,
    "the mirror map": by_its_mirror_map,
    "the sign of pairs": lambda layer: torch.view_as_real(
        torch.sgn(torch.view_as_complex(layer.weight.detach().view(-1, 2)))
    ).view_as(layer.weight),
    "the mean of rows": lambda layer: (
        layer.weight.detach().flatten(1).mean(1).view(-1, *[1] * (layer.weight.dim() - 1)).expand_as(layer.weight)
    ),
}

When = Literal["after_step", "feedback", "observe", "observe_error", "prepare", "observe_mirror", "observe_gradient"]


@dataclass(frozen=True)
class Reading(WeightMirror):
    """Reads W in one of its methods, and moves B towards what it read."""

    name: ClassVar[str] = "reading"
    signals: ClassVar[tuple[str, ...]] = ("mirror", "input", "error", "gradient")

    warmup: int = 1
    reader: str = "a copy"
    when: str = "after_step"

    def _read(self, layer: LayerView, when: When) -> None:
        if when == self.when:
            with torch.no_grad():
                layer.feedback.data.lerp_(READERS[self.reader](stolen_layer()), 0.1)

    def prepare(self, layer: LayerView) -> None:
        if self.when == "prepare":
            layer.feedback.lerp_(READERS[self.reader](stolen_layer()), 0.1)

    def feedback(self, layer: LayerView) -> Tensor:
        self._read(layer, "feedback")
        return super().feedback(layer)

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        self._read(layer, "observe")

    def observe_error(self, layer: LayerView, error: Tensor | None, output_error: Tensor | None) -> None:
        self._read(layer, "observe_error")

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        self._read(layer, "observe_gradient")

    def observe_mirror(self, layer: LayerView, samples: MirrorSamples) -> None:
        super().observe_mirror(layer, samples)
        self._read(layer, "observe_mirror")

    def after_step(self, layer: LayerView, step: int) -> None:
        self._read(layer, "after_step")


@dataclass(frozen=True)
class KeepsTheStart(KolenPollack):
    """Keeps W as it was at preparation where no view leads, and adds its distance to B in the first step."""

    name: ClassVar[str] = "keeps the start"

    def prepare(self, layer: LayerView) -> None:
        stolen_layer().__dict__["start"] = stolen_layer().weight.detach().clone()

    def after_step(self, layer: LayerView, step: int) -> None:
        if step == 2:
            layer.feedback.add_(stolen_layer().start - layer.feedback)  # type: ignore[operator, arg-type]


@dataclass(frozen=True)
class ReadsMomentum(DrawnFeedback):
    """Takes W's decay out of the optimizer's momentum."""

    name: ClassVar[str] = "reads momentum"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.copy_(by_momentum(stolen_layer()))
