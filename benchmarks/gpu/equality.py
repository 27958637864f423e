"""Losses on the GPU against those on a CPU, and resumed runs against uninterrupted ones."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpu.options import Options, skipped
from nowt.config.placement import Placement
from nowt.config.recipes import digits
from nowt.config.run_config import DataConfig, RunConfig
from nowt.core.distributed import never
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule
from nowt.rules.weight_mirror import WeightMirror
from nowt.training import checkpoint
from nowt.training.loop import TrainingInterrupted, train

BOUND = 1e-9  # of the relative difference of a loss in float64

STEPS = 4  # of a resumed run, which is interrupted after the second


def losses(rule: str, device: str, steps: int) -> list[float]:
    """Return training losses of a small float64 network, one step per epoch."""
    data = DataConfig("digits", train_limit=320, score_limit=64)
    config = replace(digits(find_rule(rule)()), data=data, epochs=steps, batch=320, precision="float64", test=False)
    return [epoch.train_loss for epoch in train(config, Placement(device=device))][1:]


def print_equal(options: Options, steps: int) -> None:
    """Print the largest difference of a loss. Raises SystemExit above ``BOUND``."""
    print("| rule | largest difference of a loss in float64, device against CPU |\n| --- | ---: |")
    for rule in ("bp", "fa", "ss", "wm", "kp"):
        pairs = zip(losses(rule, options.device, steps), losses(rule, "cpu", steps), strict=True)
        difference = max(abs(here - there) / abs(there) for here, there in pairs)
        print(f"| {rule} | {difference:.1e} |", flush=True)
        if not difference < BOUND:
            raise SystemExit(
                f"{rule} has other losses on {options.device} than on a CPU: relative difference {difference:.1e}"
            )


def print_resumed(options: Options) -> None:
    """Print whether runs of kp and wm that stop within an epoch and resume end in the state of uninterrupted ones."""
    print(f"| rule | precision | state after {STEPS} steps, interrupted after 2 |\n| --- | --- | --- |")
    for rule in options.rules:
        for precision in ("float32", "bfloat16"):
            if rule.name not in ("kp", "wm"):
                continue
            if options.seconds_left < 0:
                skipped(f"{rule.name}, {precision}")
                return
            config = replace(options.config(_with_short_mirror(rule), precision), epochs=2)
            print(f"| {rule.name} | {precision} | {_comparison(options, config)} |", flush=True)


def _with_short_mirror(rule: Rule) -> Rule:
    """Return wm with mirror steps before learning and within these few steps; another rule as it is."""
    return replace(rule, samples=4, warmup=2, interval=2) if isinstance(rule, WeightMirror) else rule


def _comparison(options: Options, config: RunConfig) -> str:
    with tempfile.TemporaryDirectory() as name:
        folders = Path(name) / "uninterrupted", Path(name) / "resumed"
        _train(options, config, folders[0], STEPS)
        _train(options, config, folders[1], STEPS // 2)
        _train(options, config, folders[1], STEPS - STEPS // 2)
        one, other = (_tensors(folder) for folder in folders)
    differences = {name: _difference(value, other[name]) for name, value in one.items()}
    worst = max(differences, key=lambda name: differences[name])
    if differences[worst] == 0:
        return "equal bit for bit"
    return f"differs by up to {differences[worst]:.1e} of the norm ({worst})"


def _train(options: Options, config: RunConfig, folder: Path, steps: int) -> None:
    with suppress(TrainingInterrupted):
        list(train(config, options.place, checkpoints=folder, should_stop=_after(steps) if steps else never))


def _after(steps: int) -> Callable[[], bool]:
    left = steps

    def should_stop() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    return should_stop


def _tensors(folder: Path) -> dict[str, Tensor]:
    """Return weights, B, running statistics and momenta of the newest checkpoint."""
    state: dict[str, Any] | None = checkpoint.load(folder)
    assert state is not None
    momenta = {f"{n}.{k}": v for n, values in state["optimizer"]["state"].items() for k, v in values.items()}
    found = {**state["model"], **momenta}
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _difference(one: Tensor, other: Tensor) -> float:
    if torch.equal(one, other):
        return 0.0
    return float((one.double() - other.double()).norm() / one.double().norm().clamp(min=1e-30))
