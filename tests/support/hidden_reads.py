"""Rules that hide in real runs what they read of W: behind huge numbers, in the optimizer, in a buffer."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nowt.rules.feedback import DrawnFeedback
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView
from tests.support.cheats_in_runs import DrawsWAgain, read_weight
from tests.support.stolen_layers import stolen_layer, stolen_optimizer

ALIASED: dict[int, list[nn.Parameter]] = {}  # the true parameters, by optimizer


@dataclass(frozen=True)
class HugeColumn(FeedbackAlignment):
    """Copies W into B, whose first entries then become huge."""

    name: ClassVar[str] = "huge column"

    share: float = 0.05

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.copy_(read_weight())
        entries = layer.feedback.view(-1)
        entries[: int(self.share * len(entries)) + 1] = 1e10 * step


@dataclass(frozen=True)
class StartsUnderALargeVector(DrawsWAgain):
    """B starts as the initial W, drawn once more, plus a large vector in each row, which a softmax does not see."""

    name: ClassVar[str] = "starts under a large vector"

    def prepare(self, layer: LayerView) -> None:
        vector = 1000 * layer.feedback[:1].clone()
        super().prepare(layer)
        layer.feedback.add_(vector)


class HooksTheOptimizer(FeedbackAlignment):
    """Changes the optimizer's step when the first step of a run ends, by a hook that it registers then."""

    def hook(self, optimizer: torch.optim.Optimizer) -> None:
        """Do nothing."""

    def undo(self, optimizer: torch.optim.Optimizer) -> None:
        """Do nothing."""

    def after_step(self, layer: LayerView, step: int) -> None:
        optimizer = stolen_optimizer()
        if step == 1 and layer.is_output and not optimizer._optimizer_step_post_hooks:  # an audit repeats the step
            optimizer.register_step_pre_hook(lambda *_: self.hook(optimizer))
            optimizer.register_step_post_hook(lambda *_: self.undo(optimizer))


@dataclass(frozen=True)
class ChangesGradients(HooksTheOptimizer):
    """Hands the optimizer other parameters with the memory of W, and other gradients, while it does its step."""

    name: ClassVar[str] = "changes gradients"

    def hook(self, optimizer: torch.optim.Optimizer) -> None:
        group = optimizer.param_groups[0]
        true = group["params"]
        group["params"] = [nn.Parameter(parameter.data) for parameter in true]
        for own, parameter in zip(group["params"], true, strict=True):
            own.grad = parameter.grad + 0.1 * parameter.detach()
            optimizer.state[own] = optimizer.state[parameter]
        ALIASED[id(optimizer)] = true

    def undo(self, optimizer: torch.optim.Optimizer) -> None:
        group = optimizer.param_groups[0]
        for own in group["params"]:
            del optimizer.state[own]
        group["params"] = ALIASED.pop(id(optimizer))


@dataclass(frozen=True)
class ChangesTheDecay(HooksTheOptimizer):
    """Sets another weight decay."""

    name: ClassVar[str] = "changes the decay"

    def hook(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.param_groups[0]["weight_decay"] = 0.3


@dataclass(frozen=True)
class KeepsWInTheOptimizer(HooksTheOptimizer):
    """Keeps W among the optimizer's settings, for a later step."""

    name: ClassVar[str] = "keeps W in the optimizer"

    def hook(self, optimizer: torch.optim.Optimizer) -> None:
        group = optimizer.param_groups[0]
        group["kept"] = [parameter.detach().clone() for parameter in group["params"]]


@dataclass(frozen=True)
class KeepsWInABuffer(DrawnFeedback):
    """Keeps W in a buffer of the model that is no state of the rule, for a later step."""

    name: ClassVar[str] = "keeps W in a buffer"

    def prepare(self, layer: LayerView) -> None:
        whole = stolen_layer()
        whole.register_buffer("kept", torch.zeros_like(whole.weight))

    def after_step(self, layer: LayerView, step: int) -> None:
        stolen_layer().get_buffer("kept").copy_(read_weight())


@dataclass(frozen=True)
class HidesBehindAmplifiedRounding(FeedbackAlignment):
    """Registers a number that depends on the last digits of activity, and copies W."""

    name: ClassVar[str] = "hides behind amplified rounding"
    signals: ClassVar[tuple[str, ...]] = ("input",)

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("digits", layer.new_zeros())

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert x is not None
        layer.cache["digits"] = (x.double().sum() * 1e12) % 1000

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.digits.copy_(layer.cache["digits"])
        layer.feedback.copy_(read_weight())


class KeepsACopy(FeedbackAlignment):
    """Registers a tensor that hides a copy of W from comparisons of sizes."""

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("kept", self.hidden(layer, torch.zeros_like(layer.feedback)))

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.kept.copy_(self.hidden(layer, read_weight()))

    def hidden(self, layer: LayerView, weight: Tensor) -> Tensor:
        """Return the form in which W is kept."""
        raise NotImplementedError


@dataclass(frozen=True)
class HugeUpperEntry(KeepsACopy):
    """Behind zeros, and before one huge entry."""

    name: ClassVar[str] = "huge upper entry"

    def hidden(self, layer: LayerView, weight: Tensor) -> Tensor:
        return torch.cat([torch.zeros(weight.numel()), weight.flatten(), torch.tensor([1e10])])


@dataclass(frozen=True)
class TinyCopy(KeepsACopy):
    """In numbers near the smallest ones."""

    name: ClassVar[str] = "tiny copy"

    def hidden(self, layer: LayerView, weight: Tensor) -> Tensor:
        return weight * 1e-36


@dataclass(frozen=True)
class InLowBits(KeepsACopy):
    """In the last bits of integers that no floating-point number holds."""

    name: ClassVar[str] = "in low bits"

    def hidden(self, layer: LayerView, weight: Tensor) -> Tensor:
        return 2**61 + (100 * weight).round().long()


@dataclass(frozen=True)
class ImaginaryPart(KeepsACopy):
    """In the imaginary part of complex numbers."""

    name: ClassVar[str] = "imaginary part"

    def hidden(self, layer: LayerView, weight: Tensor) -> Tensor:
        return torch.complex(torch.ones_like(weight), weight)


@dataclass(frozen=True)
class BesideAlternatingNumbers(KeepsACopy):
    """As the small difference between numbers that change their signs in each step."""

    name: ClassVar[str] = "beside alternating numbers"

    def hidden(self, layer: LayerView, weight: Tensor) -> Tensor:
        before = layer.state.get("kept")
        return weight + (1000 if before is None or before.mean() < 0 else -1000)


@dataclass(frozen=True)
class StartsTransposed(DrawsWAgain):
    """Keeps the initial W, drawn once more, transposed and in another shape."""

    name: ClassVar[str] = "starts transposed"

    def prepare(self, layer: LayerView) -> None:
        drawn = layer.feedback.clone()
        super().prepare(layer)
        layer.register_state("other", layer.feedback.flatten(1).t().flatten().clone())
        layer.feedback.copy_(drawn)


@dataclass(frozen=True)
class StartsAsASum(DrawsWAgain):
    """B starts as the sum of the initial W, drawn once more, and of a large matrix that is registered as well."""

    name: ClassVar[str] = "starts as a sum"

    def prepare(self, layer: LayerView) -> None:
        offset = 30 * layer.feedback.clone()
        super().prepare(layer)
        layer.feedback.add_(offset)
        layer.register_state("offset", offset)


@dataclass(frozen=True)
class TinyGradient(FeedbackAlignment):
    """Sends back through W an error so small that only AdamW learns from it."""

    name: ClassVar[str] = "tiny gradient"
    signals: ClassVar[tuple[str, ...]] = ("input", "error")

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        return 1e-9 * error @ read_weight()
