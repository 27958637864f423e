"""Seconds of training to 94 % on CIFAR-10 under five rules, with a recipe that is close to airbench.

Jordan (2024), "94% on CIFAR-10 in 3.29 seconds on a single A100", github.com/KellerJordan/cifar10-airbench. Its
record is 2.6 s on an A100, by backprop, with a compiled network in float16 and the optimizer Muon. Here are its network
(a fixed whitening of 2x2 patches, three stages of two 3x3 convolutions with batch norm and GELU) and its settings of
Nesterov momentum, with bfloat16 autocast, in eager mode and without its lookahead. Convolutions do not begin as the
identity: almost all of their weights would be 0, so that a B drawn like W, or with its signs, would carry no error.
"""

import time
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpu.images import CLASSES, Images, augmented, load
from gpu.options import Options, skipped, wait
from nowt.layers.attach import attach
from nowt.layers.feedback import Feedback
from nowt.rules.backprop import Backprop
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.rules.weight_mirror import WeightMirror

TARGET = 94.0  # % of the test images

BATCH, MOMENTUM, SMOOTHING = 1024, 0.85, 0.2

# η and λ of airbench are per 1,024 images with momentum; its loss is a sum over the batch
KILOSTEP = 1024 * (1 + 1 / (1 - MOMENTUM))
LR, DECAY, FACTOR_OF_NORMS = 11.5 / KILOSTEP, 0.0153 * 1024 / KILOSTEP, 64.0

# W forgets up to 1 % of itself per step here, so the mirror acts after each, with a short memory
RULES: tuple[Rule, ...] = (
    Backprop(),
    FeedbackAlignment(),
    SignSymmetry(),
    WeightMirror(samples=128, extent=8, interval=1, eta=0.3, decay=0.3, warmup=20),
    KolenPollack(),
)


class Whitening(nn.Module):
    """A fixed map of 2x2 patches to uncorrelated values of variance 1, and its negative, with learned biases."""

    weight: Tensor

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        patches = F.unfold(images[:5000].float(), 2).transpose(1, 2).reshape(-1, 12).double().cpu()
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        rows = (vectors / values.clamp(min=0).add(5e-4).sqrt()).T.float().view(12, 3, 2, 2)
        self.register_buffer("weight", torch.cat([rows, -rows]))
        self.bias = nn.Parameter(torch.zeros(24))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 24, H - 1, W - 1)."""
        return F.conv2d(x, self.weight, self.bias)


class Stage(nn.Module):
    """Convolution, max pooling, batch norm, GELU, convolution, batch norm, GELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(inputs, outputs), _conv(outputs, outputs)
        self.norm1, self.norm2 = _norm(outputs), _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / 2, W / 2)."""
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


class Network(nn.Module):
    """The network of airbench, with ``width`` channels in its first stage."""

    def __init__(self, images: Tensor, width: int) -> None:
        super().__init__()
        self.whitening = Whitening(images)
        self.stages = nn.Sequential(Stage(24, width), Stage(width, 4 * width), Stage(4 * width, 4 * width))
        self.classifier = nn.Linear(4 * width, CLASSES, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map images to logits."""
        x = self.stages(F.gelu(self.whitening(x)))
        return cast(Tensor, self.classifier(F.max_pool2d(x, 3).flatten(1)) / 9)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=0.4, eps=1e-12)
    norm.weight.requires_grad_(False)
    return norm


@dataclass
class Course:
    """One training: the network, its rule and optimizer, and the number of steps that it will have."""

    network: Network
    feedback: Feedback | list[nn.Module]
    optimizer: torch.optim.Optimizer
    steps: int
    step: int = 0

    @classmethod
    def create(cls, rule: Rule, train: Images, options: Options, steps: int) -> "Course":
        """Draw the network; W is the same under every rule."""
        torch.manual_seed(0)
        network = Network(train.x, options.width)
        feedback = attach(network, rule, seed=0, activation="relu", quiet=True)
        network.to(options.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        weights = [p for p in network.parameters() if p.dim() > 1]
        rest = [p for p in network.parameters() if p.dim() == 1 and p.requires_grad]
        groups = [
            {"params": weights, "lr": LR, "weight_decay": DECAY / LR},
            {"params": rest, "lr": LR * FACTOR_OF_NORMS, "weight_decay": DECAY / (LR * FACTOR_OF_NORMS)},
        ]
        for group in groups:
            group["peak"] = group["lr"]
        optimizer = torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True, fused=options.device == "cuda")
        return cls(network, feedback, optimizer, steps)

    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Do one step on augmented images."""
        done = self.step / self.steps
        pace = 0.2 + 0.8 * done / 0.23 if done < 0.23 else 1 - 0.93 * (done - 0.23) / 0.77
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * pace
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(x.device.type, torch.bfloat16):
            logits = self.network(augmented(x))
        F.cross_entropy(logits.float(), y, label_smoothing=SMOOTHING, reduction="sum").backward()  # type: ignore[no-untyped-call]
        if isinstance(self.feedback, Feedback) and len(self.feedback):
            self.feedback.step(self.optimizer)
        else:
            self.optimizer.step()
        self.step += 1

    @torch.no_grad()
    def accuracy(self, images: Images) -> float:
        """Return the percentage of images that the mean logits of each and of its mirror image classify correctly."""
        self.network.eval()
        right = torch.zeros((), device=images.x.device)
        for x, y in zip(images.x.split(2000), images.y.split(2000), strict=True):
            with torch.autocast(x.device.type, torch.bfloat16):
                logits = self.network(x) + self.network(x.flip(3))
            right += (logits.argmax(1) == y).sum()
        self.network.train()
        return 100 * float(right) / len(images.y)


def print_cifar(options: Options) -> None:
    """Print seconds, accuracy and seconds to 94 % of each rule."""
    train, test = load(options.cifar, options.device, options.images)
    source = "CIFAR-10" if options.cifar else "generated images, which are easier than CIFAR-10 (`--cifar FOLDER`)"
    print(f"{len(train.y):,} training images: {source}; {options.epochs} epochs, batch {BATCH}, bfloat16, eager.")
    print("The record under backprop is 2.6 s on an A100 (airbench, compiled, with Muon).\n")
    print("| rule | s of training | test accuracy, % | s to 94 % |\n| --- | ---: | ---: | ---: |", flush=True)
    for rule in RULES:
        if options.seconds_left < 0:
            skipped(rule.name)
            return
        print(f"| {rule.name} | {_row(options, rule, train, test)} |", flush=True)


def _row(options: Options, rule: Rule, train: Images, test: Images) -> str:
    batch = min(BATCH, len(train.y))
    per_epoch = len(train.y) // batch
    warm = Course.create(rule, train, options, steps=3)
    for _ in range(3):  # choose kernels, which does not count
        warm.train_step(train.x[:batch], train.y[:batch])
    course = Course.create(rule, train, options, steps=per_epoch * options.epochs)
    seconds, reached, accuracy = 0.0, "not reached", 0.0
    for _ in range(options.epochs):
        seconds += _seconds_of_epoch(course, train, batch)
        accuracy = course.accuracy(test)
        if accuracy >= TARGET and reached == "not reached":
            reached = f"{seconds:.1f}"
    return f"{seconds:.1f} | {accuracy:.2f} | {reached}"


def _seconds_of_epoch(course: Course, train: Images, batch: int) -> float:
    wait(train.x.device)
    began = time.perf_counter()
    order = torch.randperm(len(train.y), device=train.x.device)
    for chosen in order[: len(order) // batch * batch].split(batch):
        course.train_step(train.x[chosen], train.y[chosen])
    wait(train.x.device)
    return time.perf_counter() - began
