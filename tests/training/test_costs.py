"""The recorded costs of a run, and runs whose loss is not finite."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch.utils.flop_counter import flop_registry

from nowt.config.run_config import DataConfig, ModelConfig, OptimConfig
from nowt.data.datasets import RunData
from nowt.execution import local
from nowt.execution.preparation import inspect_data, plan_run
from nowt.execution.run_queue import RunQueue
from nowt.rules.layer_view import LayerView
from nowt.rules.weight_mirror import WeightMirror
from nowt.store.records import Epoch, RunLog
from nowt.store.run_log import read
from nowt.training.loop import TrainingDiverged, train
from tests.support.short_runs import CASES, CPU, short_run
from tests.support.stateful_rules import FollowsActivity

DENSE = ModelConfig("mlp", hidden=(20,))

MULTIPLICATIONS = 64 * 20 + 20 * 10  # multiplications per image in the forward pass


@pytest.mark.parametrize("rule", ["bp", "fa", "ss", "kp", "sham"])
def test_presentations_and_flops_without_mirror_mode(rule: str) -> None:
    epochs = list(train(short_run(rule, model=DENSE), CPU))
    assert [epoch.presentations for epoch in epochs] == [0, 48, 96]
    assert [epoch.mirror_presentations for epoch in epochs] == [0, 0, 0]
    # forward pass and gradient of W for both layers; backward path of the error for the upper layer only
    per_image = 2 * (2 * MULTIPLICATIONS + 20 * 10)
    assert [epoch.flops for epoch in epochs] == [0, 48 * per_image, 96 * per_image]


@pytest.mark.parametrize(
    ("warmup", "interval", "mirror_steps"), [(5, 2, [5, 6, 8]), (0, 2, [0, 1, 3]), (5, 0, [5, 5, 5]), (0, 4, [0, 0, 1])]
)
def test_presentations_and_flops_of_mirror_mode(warmup: int, interval: int, mirror_steps: list[int]) -> None:
    fields = {"warmup": warmup, "interval": interval, "samples": 4, "extent": 2}
    epochs = list(train(short_run("wm", fields=fields, model=DENSE), CPU))
    assert [epoch.presentations for epoch in epochs] == [0, 48, 96]
    assert [epoch.mirror_presentations for epoch in epochs] == [4 * n for n in mirror_steps]
    training = [0, 48 * 2 * (2 * MULTIPLICATIONS + 20 * 10), 96 * 2 * (2 * MULTIPLICATIONS + 20 * 10)]
    # samples × positions × (responses of the layers and outer products)
    per_mirror_step = 4 * 2**2 * 2 * (2 * MULTIPLICATIONS)
    expected = [a + n * per_mirror_step for a, n in zip(training, mirror_steps, strict=True)]
    assert [epoch.flops for epoch in epochs] == pytest.approx(expected)


def test_a_custom_rules_own_matrix_products_are_counted_at_every_step() -> None:
    config = replace(short_run("fa", model=DENSE), rule=FollowsActivity())
    epochs = list(train(config, CPU))
    per_image = 2 * (2 * MULTIPLICATIONS + 20 * 10) + 2 * MULTIPLICATIONS  # after_step computes yᵀx of both layers
    assert [epoch.flops for epoch in epochs] == [0, 48 * per_image, 96 * per_image]
    assert [epoch.mirror_presentations for epoch in epochs] == [0, 0, 0]


def test_seconds_contain_no_counting_of_flops(monkeypatch: pytest.MonkeyPatch) -> None:
    now, formula = [0.0], flop_registry[torch.ops.aten.mm]

    def slow(*args: Any, **kwargs: Any) -> int:
        now[0] += 100.0
        return int(formula(*args, **kwargs))

    monkeypatch.setitem(flop_registry, torch.ops.aten.mm, slow)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    for config in (
        replace(short_run("fa", model=DENSE), rule=FollowsActivity()),
        short_run("wm", fields={"warmup": 2, "interval": 2, "samples": 4, "extent": 2}, model=DENSE),
    ):
        assert [epoch.seconds for epoch in train(config, CPU)] == [0.0, 0.0, 0.0]
    assert now[0] > 0


def test_elementwise_work_of_a_rule_costs_nothing() -> None:
    redrawn = train(short_run("ss", fields={"magnitudes": "redrawn"}, model=DENSE), CPU)
    fixed = train(short_run("fa", model=DENSE), CPU)
    assert [epoch.flops for epoch in redrawn] == [epoch.flops for epoch in fixed]


def test_a_subclass_of_weight_mirror_is_counted_at_every_step() -> None:
    @dataclass(frozen=True)
    class Twice(WeightMirror):
        """Computes a product after each step, too."""

        name: ClassVar[str] = "twice"

        def after_step(self, layer: LayerView, step: int) -> None:
            if layer.is_output:
                torch.ones(5, 20) @ torch.ones(20, 10)

    config = short_run("wm", fields={"warmup": 1, "interval": 2, "samples": 4, "extent": 2}, model=DENSE)
    built_in = list(train(config, CPU))
    more = list(train(replace(config, rule=Twice(warmup=1, interval=2, samples=4, extent=2)), CPU))
    for epoch, other in zip(more, built_in, strict=True):
        assert epoch.flops == pytest.approx(other.flops + epoch.step * 2 * 5 * 20 * 10)


def test_incomplete_batches_are_dropped_and_repeated_images_are_counted() -> None:
    config = short_run("bp", data=DataConfig("digits", train_limit=25, repeat=2))
    assert [(epoch.step, epoch.presentations) for epoch in train(config, CPU)] == [(0, 0), (3, 48), (6, 96)]


def test_training_and_probe_seconds_increase_every_epoch() -> None:
    first, second, third = train(CASES["fa"], CPU)
    assert 0 <= first.seconds < second.seconds < third.seconds
    assert 0 < first.probe_seconds < second.probe_seconds < third.probe_seconds


def test_seconds_include_mirror_mode_before_learning() -> None:
    warm = short_run("wm", fields={"warmup": 50, "interval": 0, "samples": 4, "extent": 2}, model=DENSE)
    first = next(train(warm, CPU))
    assert first.mirror_presentations == 200 and first.seconds > 1e-3


DIVERGING = short_run(
    "fa", epochs=3, optim=OptimConfig(lr=0.1, schedule="step", milestones=(1.0,), gamma=1e30)
)  # the learning rate is 0.1 in the first epoch and 1e29 in the second


def test_a_run_with_a_non_finite_loss_diverges_and_does_so_again_when_resumed(tmp_path: Path) -> None:
    for _ in range(2):
        seen: list[Epoch] = []
        with pytest.raises(TrainingDiverged, match=r"^diverged at epoch 2$") as caught:
            seen.extend(train(DIVERGING, CPU, checkpoints=tmp_path))
        assert caught.value.epoch == 2
    run = train(DIVERGING, CPU)
    kept = [next(run), next(run)]
    assert [epoch.epoch for epoch in kept] == [0, 1]
    assert all(math.isfinite(epoch.val_loss) for epoch in kept)


def test_the_log_of_a_diverged_run_contains_the_epochs_before_divergence(tmp_path: Path) -> None:
    received: list[RunLog] = []
    planned = plan_run("fa", DIVERGING, inspect_data(DIVERGING, CPU))
    queue = RunQueue(tmp_path, (planned,), lambda planned, run: received.append(run))
    assert local.run(queue, replace(CPU, store=str(tmp_path)))
    log = read(tmp_path / "logs" / f"{planned.key}.jsonl")
    assert (log.state, log.reason) == ("diverged", "diverged at epoch 2")
    assert [epoch.epoch for epoch in log.epochs] == [0, 1]
    assert queue.decide().do == "done"


BROKEN = """
import torch
from torch import nn

def net(shape, classes):
    layer = nn.Linear(shape[0] * shape[1] * shape[2], classes)
    nn.init.constant_(layer.weight, {value})
    return nn.Sequential(nn.Flatten(), layer)
"""


@pytest.mark.parametrize("value", ["float('nan')", "1e38"])
def test_a_network_that_is_not_finite_before_learning_diverges_at_epoch_0(tmp_path: Path, value: str) -> None:
    file = tmp_path / "broken.py"
    file.write_text(BROKEN.format(value=value))
    config = short_run("bp", model=ModelConfig(f"{file}:net"), epochs=2)
    for _ in range(2):
        with pytest.raises(TrainingDiverged, match=r"^diverged at epoch 0$"):
            next(train(config, CPU, checkpoints=tmp_path / "checkpoints"))
    planned = plan_run("bp", config, inspect_data(config, CPU))
    queue = RunQueue(tmp_path, (planned,))
    assert local.run(queue, replace(CPU, store=str(tmp_path)))
    log = read(tmp_path / "logs" / f"{planned.key}.jsonl")
    assert (log.state, log.reason, log.epochs) == ("diverged", "diverged at epoch 0", ())


def test_a_run_with_a_non_finite_test_loss_diverges(monkeypatch: pytest.MonkeyPatch) -> None:
    from nowt.training import state

    original = state.score

    def one_bad_test_image(config: Any, model: Any, split: Any, *others: Any) -> Any:
        found = original(config, model, split, *others)
        return replace(found, loss=math.inf) if split is data.test else found

    config = short_run("bp", test=True, epochs=1)
    data = RunData.of(config).open(CPU)
    monkeypatch.setattr(state, "score", one_bad_test_image)
    with pytest.raises(TrainingDiverged, match=r"^diverged at epoch 0$"):
        list(train(config, CPU, data=data))
