"""Measures the cost of a training step under each rule, beside backprop with plain torch layers.

    python benchmarks/rule_cost.py                          ResNet-18, 128 px, batch 16, channels_last
    python benchmarks/rule_cost.py --rules fa kp --blocks 40
    python benchmarks/rule_cost.py --angles 600             how well the wm of the row "wm" follows W
    PYTHONPATH=FOLDER python benchmarks/rule_cost.py        with BioTorch's fa and usf, if FOLDER has it

A step is forward, backward, before_step, the optimizer's step and after_step. The rules alternate step by step in one
process, so that other load on the machine affects all of them; on the CPU, its time is the CPU time of the process.
The typical step is the median of the steps without a mirror step and that of the steps with one, each weighted by its
share. Ratios are relative to bp at the same step, with their 95 % interval from resampling blocks of steps, whose
length is a multiple of the mirror interval: its upper end must not exceed the limit. The row "bp (again)" is bp a
second time: its difference from 1 is the measurement error.

Training follows Akrout et al. (2019) as far as known: η = 0.1 · batch / 256 after a linear warm-up, momentum 0.9, λ =
1e-4. The row "wm" mirrors every 16 steps, "wm (default)" every 8. ``--angles`` shows what that does to the angles.
"""

import argparse
import io
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.config.run_config import ModelConfig, OptimConfig
from nowt.core.seeding import generator
from nowt.layers.alignment import angle
from nowt.layers.attach import attach
from nowt.layers.rule_steps import RuleSteps
from nowt.models.registry import MODELS, build_model
from nowt.rules.backprop import Backprop
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.moment import Moment
from nowt.rules.sham import Sham
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.rules.weight_mirror import WeightMirror
from nowt.training.optimizer import build_optimizer, set_learning_rate

# rules, or modes of BioTorch, each with its limit relative to bp for the default model, size and batch
ROWS: dict[str, tuple[Rule | str, float | None]] = {
    "bp": (Backprop(), None),
    "bp (again)": (Backprop(), None),
    "fa": (FeedbackAlignment(), 1.02),
    "ss (constant)": (SignSymmetry(magnitudes="constant"), 1.02),
    "ss (fixed)": (SignSymmetry(magnitudes="fixed"), 1.02),
    "ss (redrawn)": (SignSymmetry(magnitudes="redrawn"), None),
    "wm": (WeightMirror(interval=16), 1.08),
    "wm (default)": (WeightMirror(), None),
    "kp": (KolenPollack(), 1.02),
    "sham": (Sham(), None),
    "BioTorch fa": ("fa", None),
    "BioTorch usf": ("usf", None),
}

Times = npt.NDArray[np.float64]


@dataclass
class Contender:
    """A rule with its own model and optimizer, and the times of its steps."""

    rule: Rule
    model: nn.Module
    layers: list[FeedbackLayer]
    optimizer: torch.optim.Optimizer
    lr: float
    warmup: int  # steps
    steps: int = 0
    seconds: list[float] = field(default_factory=list)

    @classmethod
    def create(cls, rule: Rule | str, options: argparse.Namespace) -> "Contender":
        """Build the model with the same W for every rule; a text is a mode of BioTorch."""
        shape = (3, options.size, options.size)
        model = build_model(ModelConfig(options.model), shape, options.classes, seed=0)
        layers: list[FeedbackLayer] = []
        if isinstance(rule, str):
            rule, model = Backprop(), converted(model, rule)
        else:
            layers = attach(model, rule, seed=0, quiet=True)
        model = model.to(options.device, memory_format=layout(options))
        lr = options.lr or 0.1 * options.batch / 256
        config = OptimConfig(lr=lr, weight_decay=options.weight_decay, schedule="constant")
        return cls(rule, model.train(), layers, build_optimizer(config, model, layers), lr, options.warmup)

    @property
    def rule_steps(self) -> RuleSteps:
        """The rule's part of a step."""
        return RuleSteps(self.rule, self.layers)

    def train_step(self, x: Tensor, y: Tensor) -> Tensor:
        """Run one training step on x, (n, 3, size, size), with labels y, (n,); return the loss."""
        set_learning_rate(self.optimizer, self.lr * min(1.0, (self.steps + 1) / self.warmup))
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        self.rule_steps.before_step(self.optimizer, Moment(self.steps, seed=0))
        self.optimizer.step()
        self.steps += 1
        self.rule_steps.after_step(Moment(self.steps, seed=0))
        return loss.detach()

    def timed_step(self, x: Tensor, y: Tensor) -> None:
        """Run one training step and record its duration."""
        clock = time.perf_counter if x.is_cuda else time.process_time
        synchronize(x)
        started = clock()
        self.train_step(x, y)
        synchronize(x)
        self.seconds.append(clock() - started)

    def blocks(self, block: int) -> Times:
        """Seconds of each step: (blocks, steps per block)."""
        return np.asarray(self.seconds).reshape(-1, block)

    def feedback_bytes(self) -> int:
        """Memory of the tensors that the rule registers on its layers."""
        kept = (p for layer in self.layers for p in layer.parameters() if not p.requires_grad)
        return sum(p.numel() * p.element_size() for p in kept)

    def optimizer_bytes(self) -> int:
        """Memory of the optimizer's state."""
        state = (v for values in self.optimizer.state.values() for v in values.values())
        return sum(v.numel() * v.element_size() for v in state if isinstance(v, Tensor))


def converted(model: nn.Module, mode: str) -> nn.Module:
    """Return the model as BioTorch changes it, which prints what it does."""
    from biotorch.module.biomodule import BioModule

    with redirect_stdout(io.StringIO()):
        changed: nn.Module = BioModule(model, mode)
    return changed


def layout(options: argparse.Namespace) -> torch.memory_format:
    """The memory format of ``--layout``."""
    return torch.contiguous_format if options.layout == "nchw" else torch.channels_last


def synchronize(x: Tensor) -> None:
    """Wait for the GPU, if any."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)


def batches(options: argparse.Namespace) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield random images that can be learned slowly: smooth class patterns with noise."""
    stream = generator(0, "pictures")
    patterns = torch.randn(options.classes, 3, 8, 8, generator=stream)
    while True:
        y = torch.randint(options.classes, (options.batch,), generator=stream)
        coarse = patterns[y] + options.noise * torch.randn(options.batch, 3, 8, 8, generator=stream)
        x = F.interpolate(coarse / (1 + options.noise), size=options.size, mode="bilinear")
        yield x.to(options.device).contiguous(memory_format=layout(options)), y.to(options.device)


def measure(options: argparse.Namespace) -> dict[str, Contender]:
    """Run every rule's steps, alternating; the first block is a warm-up and not counted."""
    names = list(dict.fromkeys(["bp", *options.rules]))
    contenders = {name: Contender.create(ROWS[name][0], options) for name in names}
    images = batches(options)
    for step in range(options.block * (options.blocks + 1)):
        x, y = next(images)
        turn = step % len(names)
        for name in names[turn:] + names[:turn]:
            contenders[name].timed_step(x, y)
    for contender in contenders.values():
        del contender.seconds[: options.block]
    return contenders


def typical(times: Times, period: int) -> float:
    """Mean of the medians of steps with and without a mirror step, weighted by their share.

    ``times``: (blocks, steps per block). Every ``period`` steps there is a mirror step; 0: never.
    """
    mirrored = np.arange(1, times.shape[1] + 1) % (period or times.shape[1] + 1) == 0
    parts = [(mask.mean(), times[:, mask]) for mask in (mirrored, ~mirrored) if mask.any()]
    return float(sum(share * np.median(part) for share, part in parts))


def interval(times: Times, period: int) -> tuple[float, float]:
    """95 % interval of ``typical``: the blocks are resampled with replacement."""
    stream = np.random.default_rng(0)
    found = [typical(stream.choice(times, len(times)), period) for _ in range(2000)]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def print_costs(contenders: dict[str, Contender], block: int) -> None:
    """Print milliseconds per step, ratio to bp with its 95 % interval, and memory of B and of the optimizer."""
    reference = contenders["bp"].blocks(block)
    titles = f"{'x bp':>8}{'95 %':>16}{'limit':>9}{'B, MB':>8}{'state, MB':>11}"
    print(f"{'rule':<14}{'ms per step':>10}{titles}")
    for name, contender in contenders.items():
        times = contender.blocks(block)
        period = getattr(contender.rule, "interval", 0)
        low, high = interval(times / reference, period)
        limit = ROWS[name][1]
        print(
            f"{name:<14}{1e3 * typical(times, period):>10.1f}{typical(times / reference, period):>8.3f}"
            f"{f'{low:.3f} to {high:.3f}':>16}{limit or '':>9}"
            f"{contender.feedback_bytes() / 1e6:>8.1f}{contender.optimizer_bytes() / 1e6:>11.1f}"
            f"{'   over the limit' if limit is not None and high > limit else ''}"
        )


def print_angles(options: argparse.Namespace) -> None:
    """Train wm, and print the angle between B and W while W learns."""
    contender = Contender.create(ROWS["wm"][0], options)
    contender.rule_steps.before_learning(Moment(0, seed=0))
    print(f"{'step':>6}{'loss':>9}{'mean angle':>12}{'largest':>9}   layer of the largest")
    loss = torch.tensor(float("nan"))
    for step, (x, y) in zip(range(options.angles + 1), batches(options), strict=False):
        if step % max(1, options.angles // 20) == 0:
            angles = {layer.name: angle(layer.feedback, layer.weight.detach()) for layer in contender.layers}
            worst = max(angles, key=lambda name: angles[name])
            mean = sum(angles.values()) / len(angles)
            print(f"{step:>6}{float(loss):>9.3f}{mean:>12.2f}{angles[worst]:>9.2f}   {worst}", flush=True)
        loss = contender.train_step(x, y)


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rules", nargs="+", choices=list(ROWS), help="default: all of them; BioTorch's if it is installed"
    )
    parser.add_argument("--model", choices=[m for m in MODELS if m != "mlp"], default="resnet18")
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--layout", choices=["channels_last", "nchw"], default="channels_last")
    parser.add_argument("--blocks", type=int, default=12, help="blocks of steps that are timed")
    parser.add_argument("--block", type=int, default=16, help="steps in a block")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--lr", type=float, help="default: 0.1 · batch / 256")
    parser.add_argument("--warmup", type=int, default=100, help="steps of linear warm-up")
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--noise", type=float, default=2.0, help="sd of the noise; the patterns have 1")
    parser.add_argument("--angles", type=int, metavar="STEPS", help="train wm for so many steps and print its angles")
    options = parser.parse_args()
    peers = find_spec("biotorch") is not None
    options.rules = options.rules or [name for name, (rule, _) in ROWS.items() if peers or isinstance(rule, Rule)]
    for rule in (ROWS[name][0] for name in options.rules):
        if isinstance(rule, WeightMirror) and options.block % rule.interval != 0:
            parser.error(f"--block is {options.block}: must be a multiple of wm's mirror interval, {rule.interval}")
    return options


def main() -> None:
    """Print the costs, or wm's angles."""
    options = parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(
        f"{options.model}, {options.size} px, batch {options.batch}, {options.layout}, {options.device}, "
        f"{options.threads} threads, torch {torch.__version__}\n"
    )
    if options.angles is not None:
        print_angles(options)
    else:
        print_costs(measure(options), options.block)


if __name__ == "__main__":
    main()
