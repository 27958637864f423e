"""No part of a training step waits for a GPU or copies from the CPU, under any built-in rule."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nowt.config.recipes import digits
from nowt.config.run_config import DataConfig, OptimConfig, RunConfig
from nowt.layers.attach import attach
from nowt.models.registry import build_model
from nowt.rules.base import Rule
from nowt.rules.registry import builtin_rules, find_rule
from tests.support.nets import MAGNITUDES, rule_id
from tests.support.synchronization import META, allow_meta, copies_and_waits, on_meta

MIRROR: dict[str, Any] = {"interval": 2, "warmup": 1, "samples": 4, "extent": 4}

RULES: list[Rule] = [
    *(rule() for rule in builtin_rules() if rule.name not in ("ss", "wm")),
    *MAGNITUDES,
    find_rule("wm")(**MIRROR),
]

MIRRORS = [
    find_rule("wm")(**MIRROR, streams=2, noise="uniform", receiver_noise=0.1, normalize="positions"),
    find_rule("wm")(**MIRROR, noise="sign", through="nonlinearity", last_activation="sigmoid"),
    find_rule("wm")(**MIRROR, burst=1),
    find_rule("wm")(target_angle=40.0),
]


def small(rule: Rule, **changes: Any) -> RunConfig:
    """A residual network of 10 layers on 8 digits per step."""
    data = DataConfig("digits", size=16, train_limit=32)
    optim = OptimConfig(lr=0.05, weight_decay=1e-2, clip=1.0, schedule="constant")
    return replace(digits(rule), **{"data": data, "batch": 8, "epochs": 1, "optim": optim, **changes})


def images() -> tuple[Tensor, Tensor]:
    return torch.empty(8, 1, 16, 16, device=META), torch.empty(8, dtype=torch.int64, device=META)


def found_in_training(config: RunConfig) -> list[str]:
    """Return what waits or copies before learning and in four steps, the second and fourth of which mirror."""
    training = on_meta(config)
    training.before_learning()  # keeps what depends on shapes alone
    with copies_and_waits() as found:
        training.before_learning()
        for _ in range(4):
            training.train_step(*images())
    return found


@pytest.mark.parametrize("rule", RULES, ids=rule_id)
def test_no_step_waits_for_the_device_or_copies_from_the_cpu(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_meta(monkeypatch)
    assert found_in_training(small(rule)) == []


@pytest.mark.parametrize("rule", MIRRORS, ids=["streams", "nonlinearity", "bursts", "target angle"])
def test_no_kind_of_mirror_step_waits_or_copies(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_meta(monkeypatch)
    assert found_in_training(small(rule)) == []


@pytest.mark.parametrize(
    "changes",
    [{"loss": "binary"}, {"optim": OptimConfig("adamw", lr=0.01)}, {"label_smoothing": 0.1}, {"channels_last": True}],
    ids=["binary loss", "adamw", "label smoothing", "channels last"],
)
def test_no_setting_of_the_training_makes_a_step_wait(changes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_meta(monkeypatch)
    assert found_in_training(small(find_rule("kp")(), **changes)) == []


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.name != "bp"], ids=rule_id)
def test_no_step_of_a_custom_loop_waits_or_copies(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_meta(monkeypatch)
    config = small(rule)
    model = build_model(config.model, (1, 16, 16), 10, seed=0)
    feedback = attach(model, rule, example=torch.zeros(2, 1, 16, 16), quiet=True)
    model.to(META)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with copies_and_waits() as found:
        for _ in range(4):
            x, y = images()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            feedback.step(optimizer, clip=1.0)
    assert found == []


def test_a_copy_and_a_wait_are_found() -> None:
    with copies_and_waits() as found:
        torch.zeros(2, device=META).new_tensor(1.0)
        torch.zeros(2).to(META)
        torch.ones(()).item()
    assert {"new_tensor", "aten::_to_copy", "aten::_local_scalar_dense", "item"} <= set(found)
