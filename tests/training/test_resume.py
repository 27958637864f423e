"""An interrupted run that is resumed gives the same results as an uninterrupted one."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nowt import KolenPollack, recipes
from nowt.config.run_config import DataConfig, ModelConfig, OptimConfig, RunConfig
from nowt.config.run_key import run_key
from nowt.core.errors import ConfigError
from nowt.store.records import Epoch
from nowt.training.loop import TrainingInterrupted, train
from tests.support.short_runs import CASES, CPU, STEPS, after, assert_equal, numbers, short_run, tensors


@dataclass(frozen=True)
class UninterruptedRun:
    """The config, epochs and final tensors of an uninterrupted run."""

    config: RunConfig
    epochs: list[Epoch]
    tensors: dict[str, Tensor]


@pytest.fixture(scope="module", params=CASES)
def uninterrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> UninterruptedRun:
    config, folder = CASES[request.param], tmp_path_factory.mktemp("uninterrupted")
    return UninterruptedRun(config, list(train(config, CPU, checkpoints=folder)), tensors(folder))


def test_the_uninterrupted_runs_learn_and_are_measured(uninterrupted: UninterruptedRun) -> None:
    assert [epoch.step for epoch in uninterrupted.epochs] == [0, STEPS, 2 * STEPS]
    assert all(math.isfinite(epoch.val_loss) for epoch in uninterrupted.epochs)
    assert uninterrupted.epochs[2].train_loss < uninterrupted.epochs[1].train_loss
    assert len(uninterrupted.epochs[2].layers) == (0 if uninterrupted.config.rule.name == "bp" else 10)


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_run_interrupted_after_an_epoch_resumes_with_the_same_results(
    uninterrupted: UninterruptedRun, epochs: int, tmp_path: Path
) -> None:
    run = train(uninterrupted.config, CPU, checkpoints=tmp_path)
    for _ in range(epochs + 1):
        next(run)
    run.close()
    continued = list(train(uninterrupted.config, CPU, checkpoints=tmp_path))
    assert numbers(continued) == numbers(uninterrupted.epochs)
    assert_equal(tensors(tmp_path), uninterrupted.tensors)


def test_a_run_interrupted_after_every_batch_resumes_with_the_same_results(
    uninterrupted: UninterruptedRun, tmp_path: Path
) -> None:
    for _ in range(2 * STEPS):
        with pytest.raises(TrainingInterrupted):
            list(train(uninterrupted.config, CPU, checkpoints=tmp_path, should_stop=after(1)))
    continued = list(train(uninterrupted.config, CPU, checkpoints=tmp_path, should_stop=after(1)))  # no batch is left
    assert numbers(continued) == numbers(uninterrupted.epochs)
    assert_equal(tensors(tmp_path), uninterrupted.tensors)


@pytest.mark.parametrize("steps", range(1, 2 * STEPS + 1))
def test_a_run_interrupted_within_an_epoch_resumes_with_the_same_results(steps: int, tmp_path: Path) -> None:
    config = short_run("kp")
    with pytest.raises(TrainingInterrupted):
        list(train(config, CPU, checkpoints=tmp_path, should_stop=after(steps)))
    assert numbers(train(config, CPU, checkpoints=tmp_path)) == numbers(train(config, CPU))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = list(train(short_run(), CPU, checkpoints=tmp_path))
    again = list(train(short_run(), CPU, checkpoints=tmp_path, should_stop=after(1)))
    assert numbers(again) == numbers(first)
    assert [epoch.seconds for epoch in again] == [epoch.seconds for epoch in first]


DROPOUT_MODEL = """
from torch import nn

def net(shape, classes):
    channels, height, width = shape
    inputs = channels * height * width
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, classes))
"""


def test_a_model_with_dropout_resumes_with_the_same_results(tmp_path: Path) -> None:
    (tmp_path / "dropout.py").write_text(DROPOUT_MODEL)
    config = short_run("fa", model=ModelConfig(f"{tmp_path}/dropout.py:net"))
    expected = list(train(config, CPU))
    with pytest.raises(TrainingInterrupted):
        list(train(config, CPU, checkpoints=tmp_path / "kept", should_stop=after(2)))
    assert numbers(list(train(config, CPU, checkpoints=tmp_path / "kept"))) == numbers(expected)


def test_a_custom_model_is_identified_by_the_content_of_its_file_not_by_its_path(tmp_path: Path) -> None:
    paths = [tmp_path / "one.py", tmp_path / "two.py"]
    for path in paths:
        path.write_text(DROPOUT_MODEL)
    first, moved = (run_key(short_run("fa", model=ModelConfig(f"{path}:net")), "images") for path in paths)
    paths[0].write_text(DROPOUT_MODEL.replace("32", "8"))
    edited = run_key(short_run("fa", model=ModelConfig(f"{paths[0]}:net")), "images")
    assert first == moved != edited


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"rule": KolenPollack()}, "rule.name bp, now kp"),
        ({"optim": OptimConfig(lr=0.01)}, "optim.lr 0.05, now 0.01"),
        ({"data": DataConfig(noise=0.1)}, "data.noise 0.0, now 0.1"),
    ],
)
def test_the_checkpoints_of_another_run_are_refused(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    """Its results would pass for those of this run."""
    config = recipes.shrink_config(RunConfig(), epochs=1, images=64)
    list(train(config, CPU, checkpoints=tmp_path))
    with pytest.raises(ConfigError, match=f"in {tmp_path} are of another run .{problem}.*: give another folder"):
        list(train(replace(config, **change), CPU, checkpoints=tmp_path))


def test_a_checkpoint_that_does_not_name_its_run_is_used(tmp_path: Path) -> None:
    """Earlier versions wrote such checkpoints."""
    config = recipes.shrink_config(RunConfig(), epochs=1, images=64)
    expected = numbers(train(config, CPU, checkpoints=tmp_path))
    for path in tmp_path.glob("*.pt"):
        state = torch.load(path, weights_only=True)
        torch.save({name: value for name, value in state.items() if name != "run"}, path)
    assert numbers(train(config, CPU, checkpoints=tmp_path)) == expected
