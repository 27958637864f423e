"""Runs of a few seconds, and comparisons between them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig, OptimConfig, RunConfig
from nowt.rules.registry import find_rule
from nowt.store.records import Epoch, epoch_to_json
from nowt.training import checkpoint

CPU = Placement(device="cpu")

STEPS = 3  # of an epoch


def short_run(rule: str = "fa", *, fields: dict[str, Any] | None = None, **changes: Any) -> RunConfig:
    """Two epochs of three steps on 48 digits, under ``rule`` with ``fields``."""
    config = RunConfig(
        data=DataConfig("digits", train_limit=16 * STEPS),
        rule=find_rule(rule)(**(fields or {})),
        optim=OptimConfig(lr=0.1),
        epochs=2,
        batch=16,
        test=False,
    )
    return replace(config, **changes)


def numbers(epochs: Iterable[Epoch]) -> list[dict[str, Any]]:
    """All measurements except times, with NaN as None."""
    clocks = ("seconds", "probe_seconds")
    return [{k: v for k, v in epoch_to_json(epoch).items() if k not in clocks} for epoch in epochs]


RULES = ["bp", "fa", "ss", "wm", "kp", "dfa", "dkp", "ia", "sham"]

MIRROR = {"interval": 2, "warmup": 2, "samples": 4, "extent": 4}  # a mirror step every second step


def fields_of(rule: str) -> dict[str, Any]:
    return {"wm": MIRROR, "ss": {"magnitudes": "redrawn"}}.get(rule, {})


CASES: dict[str, RunConfig] = {
    **{rule: short_run(rule, fields=fields_of(rule)) for rule in RULES},
    "kp with nesterov": short_run("kp", optim=OptimConfig(lr=0.1, nesterov=True, schedule="constant", warmup=1.5)),
    "kp with adamw": short_run("kp", optim=OptimConfig("adamw", lr=0.01, clip=1.0, weight_decay=0.1)),
    "kp in float64": short_run("kp", precision="float64"),
    "fa in bfloat16": short_run("fa", precision="bfloat16"),
    "dkp in bfloat16": short_run("dkp", precision="bfloat16"),
    "ia in bfloat16": short_run("ia", precision="bfloat16"),
    "wm at a target angle": short_run(
        "wm", fields={"target_angle": 30.0}, optim=OptimConfig(lr=0.1, weight_decay=0.01, schedule="constant")
    ),
    "wm with bursts": short_run("wm", fields={**MIRROR, "burst": 2}),
    "wm in bfloat16": short_run("wm", fields=MIRROR, precision="bfloat16"),
    "with augmentation": short_run("fa", data=DataConfig("digits", train_limit=26, repeat=2, augment="shift_flip")),
}


def tensors(folder: Path) -> dict[str, Tensor]:
    """W, B, running statistics and the optimizer's buffers in the newest checkpoint."""
    state = checkpoint.load(folder)
    assert state is not None
    memory = state["optimizer"]["state"]
    kept = {f"{i}.{name}": value for i, values in memory.items() for name, value in values.items()}
    return {**state["model"], **{name: value for name, value in kept.items() if isinstance(value, Tensor)}}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Assert equal names, and tensors that are equal bit for bit."""
    assert found.keys() == expected.keys()
    assert [name for name, value in found.items() if not torch.equal(value, expected[name])] == []


def after(steps: int) -> Callable[[], bool]:
    """Return a ``should_stop`` that returns True after this many batches."""
    left = steps

    def should_stop() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    return should_stop
