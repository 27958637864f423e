"""The small network that a rule is certified on, and one training step taken apart into its phases."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.config.run_config import OptimConfig
from nowt.core.seeding import generator
from nowt.evaluation.certify import weight_reads as phase
from nowt.layers.attach import attach
from nowt.models.initialization import initialize_as_torchvision, initialize_layers
from nowt.rules.base import FeedbackLayer, Moment, Rule
from nowt.training.optimizer import build_optimizer, clip_gradients

CLASSES = 5

OPTIM = OptimConfig(lr=0.05, momentum=0.9, weight_decay=0.01, schedule="constant", clip=1.0)

NOISE_SEED = 11  # of mirror mode

At = Callable[[str], None]  # called with each phase of a step as it begins

Optimizer = Callable[[nn.Module, list[FeedbackLayer]], torch.optim.Optimizer]


class Block(nn.Module):
    """Two convolutions beside a shortcut: the identity, or a projection where the shape changes."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inner, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/stride, W/stride), rounded up."""
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.downsample(x))


class SmallNet(nn.Module):
    """A residual network with one identity shortcut and one projection. Every layer's in and out sizes differ, so that
    W and its transpose cannot be taken for each other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.block1 = Block(6, 5, 6)
        self.block2 = Block(6, 7, 8, stride=2)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 2, H, W) to logits (N, 5)."""
        x = torch.relu(self.bn1(self.conv1(x)))
        y: Tensor = self.fc(self.block2(self.block1(x)).mean((2, 3)))
        return y


def batch(number: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Noise pictures (10, 2, 8, 8) and labels (10,), a pure function of ``number``."""
    x = torch.randn(10, 2, 8, 8, generator=generator(0, "certificate", "pictures", number), dtype=dtype)
    return x, torch.arange(10) % CLASSES


def nothing(name: str) -> None:
    """Nobody listens."""


@dataclass
class Testbed:
    """A rule on the small network, with its optimiser."""

    rule: Rule
    model: nn.Module
    layers: list[FeedbackLayer]
    optimizer: torch.optim.Optimizer
    clip: float | None
    dtype: torch.dtype

    @classmethod
    def build(
        cls,
        rule: Rule,
        *,
        seed: int = 0,
        optim: OptimConfig = OPTIM,
        optimizer: Optimizer | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> "Testbed":
        """The rule on a fresh network, the same at every call but for B, which ``seed`` draws."""
        model = small_net(dtype)
        layers = attach(model, rule, seed, example=batch(0, dtype)[0])
        made = optimizer(model, layers) if optimizer else build_optimizer(optim, model, layers)
        return cls(rule, model, layers, made, optim.clip, dtype)

    def begin(self, at: At = nothing) -> None:
        """The rule's work before learning."""
        at(phase.BEFORE_LEARNING)
        self.rule.before_learning(self.layers, Moment(0, NOISE_SEED))
        at(phase.BETWEEN)

    def step(self, number: int, at: At = nothing) -> None:
        """Optimiser step ``number`` (1 is the first), in the order of nowt.training."""
        x, y = batch(number, self.dtype)
        self.optimizer.zero_grad(set_to_none=True)
        at(phase.FORWARD)
        loss = F.cross_entropy(self.model(x), y)
        at(phase.BACKWARD)
        loss.backward()  # type: ignore[no-untyped-call]
        at(phase.CLIPPING)
        clip_gradients(self.model, self.clip)
        at(phase.BEFORE_STEP)
        self.rule.before_step(self.layers, self.optimizer)
        at(phase.OPTIMISER)
        self.optimizer.step()
        at(phase.AFTER_STEP)
        self.rule.after_step(self.layers, Moment(number, NOISE_SEED))
        del loss
        at(phase.BETWEEN)

    def kept(self) -> dict[str, Tensor]:
        """What the rule keeps on its layers (B among it), by name."""
        return {
            f"{layer.name}.{name}": value.detach()
            for layer in self.layers
            for name, value in layer.named_parameters(recurse=False)
            if name not in ("weight", "bias")
        }

    def own(self) -> dict[str, Tensor]:
        """What belongs to the network and its optimiser, not to the rule: W, biases, norms, optimiser state."""
        kept = self.kept()
        found = {name: value for name, value in self.model.state_dict().items() if name not in kept}
        for i, state in enumerate(self.optimizer.state.values()):
            found |= {f"optimiser {i} {name}": value for name, value in state.items() if isinstance(value, Tensor)}
        return found


def small_net(dtype: torch.dtype = torch.float32) -> nn.Module:
    """The small network, its W always the same."""
    with torch.random.fork_rng(devices=[]):
        model = SmallNet().to(dtype)
    initialize_layers(model, initialize_as_torchvision, seed=0)
    return model


def copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors in memory of their own."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[str]:
    """Names of what is not bit for bit what it was."""
    names = dict.fromkeys((*before, *after))
    return [n for n in names if n not in before or n not in after or not torch.equal(before[n], after[n])]


def why_no_matrix(rule: Rule) -> str:
    """Why a rule's error does not come through a B of W's shape; empty where it does."""
    layers = Testbed.build(rule).layers
    if not layers:
        return "no layer is this rule's: torch's own layers do backprop"
    if type(rule).propagate is not Rule.propagate:
        return "the rule has a way back of its own (propagate)"
    if any(getattr(layer, "feedback", layer.weight[:0]).shape != layer.weight.shape for layer in layers):
        return "the rule keeps no B of W's shape (layer.feedback)"
    return ""


def has_field(rule: Rule, *names: str) -> bool:
    """Whether the rule's dataclass has all these fields."""
    return set(names) <= {field.name for field in fields(rule)}


def watched_steps(rule: Rule) -> tuple[int, ...]:
    """Step numbers to watch: the first thirty, so that what a rule does every so often is seen, and ``steps``."""
    return (*range(1, 31), *steps(rule)[2:])


def steps(rule: Rule) -> tuple[int, ...]:
    """Step numbers to look at: two ordinary ones, one at which a rule that acts every n steps acts (a multiple of 1 to
    10 and of the field ``interval``, where the rule has it), and the one after."""
    interval = getattr(rule, "interval", 1)
    landmark = math.lcm(2520, interval) if isinstance(interval, int) and interval > 0 else 2520
    return 1, 2, landmark, landmark + 1
