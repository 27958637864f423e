"""What gpu_check.py measures, and for how long."""

import time
from dataclasses import dataclass, field, replace

import torch

from nowt.config.placement import Placement
from nowt.config.recipes import RECIPES, RULES_OF
from nowt.config.run_config import DataConfig, ProbeConfig, RunConfig
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule

BLOCK = 8  # training steps, a multiple of the mirror interval of the recipes


@dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes:
        device: ``cuda`` or ``cpu``.
        minutes: Time after which no further part or row begins.
        cifar: Folder of CIFAR-10; empty: generated images.
        net: Recipe whose training steps are measured.
        batch, size: Images per step, and their side in pixels, of that recipe.
        rounds: Number of times that each of its rules is timed.
        images, width, epochs: Training images, channels of the first stage and epochs of the CIFAR network.
        compiles: Whether ``torch.compile`` is measured.
        began: When the script began.
    """

    device: str
    minutes: float
    cifar: str
    net: str
    batch: int
    size: int
    rounds: int
    images: int
    width: int
    epochs: int
    compiles: bool
    began: float = field(default_factory=time.monotonic)

    @property
    def place(self) -> Placement:
        """Where the runs are computed."""
        return Placement(device=self.device)

    @property
    def seconds_left(self) -> float:
        """Seconds until no further part or row begins."""
        return 60 * self.minutes - (time.monotonic() - self.began)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of the recipe, backprop first."""
        return tuple(RULES_OF.get(self.net, [find_rule(name)() for name in ("bp", "fa", "ss", "wm", "kp")]))

    def config(self, rule: Rule, precision: str = "float32", compiled: bool = False) -> RunConfig:
        """Return the recipe on generated images, with batch norm over the complete batch."""
        config = RECIPES[self.net](rule)
        return replace(
            config,
            data=DataConfig("synthetic", size=self.size, train_limit=max(320, self.batch), score_limit=64),
            model=replace(config.model, norm_group=None),
            probe=ProbeConfig(samples=4),
            batch=self.batch,
            precision=precision,  # type: ignore[arg-type]
            compile=compiled,
            test=False,
        )


def wait(device: str | torch.device) -> None:
    """Wait for the GPU, if it is one."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def skipped(what: str) -> None:
    """Print that a part or row does not begin."""
    print(f"{what}: left out, since the time is over (`--minutes`)", flush=True)
