"""A rule's state is refused if no checkpoint contains it, if a probe changes it, or if workers do not share it."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nowt.config.run_config import ModelConfig, ProbeConfig, RunConfig
from nowt.core.distributed import WorkersDiverged
from nowt.core.errors import ConfigError
from nowt.rules.base import Rule
from nowt.training.fingerprint import Bits, fingerprint
from nowt.training.loop import TrainingInterrupted, train
from tests.support.short_runs import CPU, after, numbers, short_run
from tests.support.stateful_rules import (
    CountsForwardPasses,
    DrawsElsewhere,
    FollowsActivity,
    HiddenCount,
    LocalStatistics,
    ModuleMemory,
    OwnMemory,
    PlainTrace,
    PreparedTrace,
    RegistersLate,
)
from tests.support.worker_processes import on_workers, shared_run, trained

DENSE = ModelConfig("mlp", hidden=(20,))


def run(rule: Rule, **changes: object) -> RunConfig:
    return replace(short_run("fa", model=DENSE), rule=rule, **changes)  # type: ignore[arg-type]


def test_a_rule_may_pass_activity_from_the_forward_pass_to_after_step(tmp_path: Path) -> None:
    config = run(FollowsActivity())
    expected = numbers(train(config, CPU))
    rarely = numbers(train(replace(config, probe=ProbeConfig(interval=2)), CPU))
    assert rarely[-1] == expected[-1]
    with pytest.raises(TrainingInterrupted):
        list(train(config, CPU, checkpoints=tmp_path, should_stop=after(2)))
    assert numbers(train(config, CPU, checkpoints=tmp_path)) == expected


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (PlainTrace(), r"sets attribute 'trace' of layer fc1, which no checkpoint contains.*layer\.register_state"),
        (PreparedTrace(), r"attribute 'count' of 'feedback' of layer .* set during training, and no checkpoint"),
        (RegistersLate(), r"registers 'count' on layer fc1 after prepare"),
        (OwnMemory(), r"attribute 'memory' of rule own memory changes during training"),
        (ModuleMemory(), r"variable 'STEPS' of stateful_rules.py .* changes during training"),
        (HiddenCount(), r"an alignment probe changed 'passes' of layer"),
        (CountsForwardPasses(), r"an alignment probe changed 'passes' of layer"),
    ],
    ids=lambda value: value.name if isinstance(value, Rule) else "",
)
def test_state_that_a_resumed_run_would_not_have_is_refused(rule: Rule, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list(train(run(rule), replace(CPU, audit=0)))


@pytest.mark.parametrize("rule", [HiddenCount(), CountsForwardPasses()], ids=lambda rule: rule.name)
def test_state_that_changes_before_the_first_step_is_refused_by_audits(rule: Rule) -> None:
    with pytest.raises(
        ConfigError, match=r"passes of layer fc1 is not what prepare\(\) and mirror steps before learning"
    ):
        list(train(run(rule), replace(CPU, audit=1)))


def test_state_is_refused_after_the_first_steps() -> None:
    training = train(run(OwnMemory(), epochs=1), CPU)
    assert next(training).epoch == 0
    with pytest.raises(ConfigError, match="attribute 'memory' of rule own memory"):
        next(training)


def test_draws_from_the_random_states_of_python_and_numpy_are_the_same_in_every_run(tmp_path: Path) -> None:
    config = run(DrawsElsewhere())
    random.seed()
    expected = numbers(train(config, CPU))
    np.random.seed(5)
    with pytest.raises(TrainingInterrupted):
        list(train(config, CPU, checkpoints=tmp_path, should_stop=after(2)))
    assert numbers(train(config, CPU, checkpoints=tmp_path)) == expected


def test_statistics_that_a_rule_forgets_to_sum_over_workers_are_reported() -> None:
    config = replace(shared_run("fa", epochs=1), rule=LocalStatistics())
    list(train(config, CPU))
    with pytest.raises(WorkersDiverged, match=r"mean of worker 1 is not .*layer\.sum_over_workers"):
        on_workers(2, trained, config)


COUNTING_MODEL = """
from torch import nn


class Counting(nn.Linear):
    count = 0

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.count = 0

    def forward(self, x):
        self.count += self.training
        return super().forward(x.flatten(1)) * (1 + 0.01 * self.count)


def net(shape, classes):
    return nn.Sequential(Counting(shape[0] * shape[1] * shape[2], classes), nn.Linear(classes, classes))
"""


def test_a_model_that_counts_its_steps_in_an_attribute_is_refused(tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(COUNTING_MODEL)
    config = short_run("fa", model=ModelConfig(f"{tmp_path}/counting.py:net"))
    with pytest.raises(ConfigError, match=r"attribute 'count' of module '0' changes during training.*register_buffer"):
        list(train(config, CPU))
    healthy = COUNTING_MODEL.replace("self.count += self.training", "self.seen, self.size = x, len(x)")
    (tmp_path / "healthy.py").write_text(healthy.replace("self.count = 0", "self.count = self.size = 0"))
    list(train(replace(config, model=ModelConfig(f"{tmp_path}/healthy.py:net")), CPU))


WEIGHT_NORM = """
from torch import nn


def net(shape, classes):
    hidden = nn.utils.weight_norm(nn.Linear(shape[0] * shape[1] * shape[2], 8))
    return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(8, classes))
"""


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_a_weight_that_is_computed_from_other_parameters_may_change(tmp_path: Path) -> None:
    (tmp_path / "norm.py").write_text(WEIGHT_NORM)
    list(train(short_run("fa", model=ModelConfig(f"{tmp_path}/norm.py:net")), CPU))


def test_changes_in_place_change_the_fingerprint() -> None:
    tensor, nested, noise = torch.zeros(2), {"a": [1, 2]}, torch.Generator()
    before = fingerprint((tensor, nested, noise))
    assert fingerprint((tensor, nested, noise)) == before
    nested["a"].append(3)
    changed = fingerprint((tensor, nested, noise))
    assert changed != before
    tensor.add_(1)
    assert fingerprint((tensor, nested, noise)) != changed
    nested["a"].pop()
    tensor, again = torch.zeros(2), fingerprint(noise)
    torch.rand(1, generator=noise)
    assert fingerprint(noise) != again


def test_a_tensor_that_is_replaced_again_and_again_never_has_its_first_fingerprint() -> None:
    state = {"trace": torch.zeros(2), "noise": object()}
    before = fingerprint(state)
    for _ in range(8):  # Python gives a new object the address of one that was freed
        state["trace"] = state["trace"] + 1  # type: ignore[operator]
        assert fingerprint(state) != before


def test_swapped_values_and_nan_are_told_apart_by_their_bits() -> None:
    values = torch.tensor([1.0, 2.0, float("nan")])
    before = Bits(values)
    assert Bits(values) == before
    values.data[:2] = torch.tensor([2.0, 1.0])
    assert Bits(values) != before
