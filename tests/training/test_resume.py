"""A run that was stopped, wherever that was, goes on to the same numbers as one that was not."""

import math
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import Tensor

from nowt.config.run_config import ModelConfig, RunConfig
from nowt.config.run_key import run_key
from nowt.store.records import Epoch
from nowt.training.loop import TrainingInterrupted, train
from tests.support.short_runs import CASES, CPU, STEPS, after, assert_equal, numbers, short_run, tensors


@dataclass(frozen=True)
class Whole:
    """A run that nothing stopped."""

    config: RunConfig
    epochs: list[Epoch]
    tensors: dict[str, Tensor]


@pytest.fixture(scope="module", params=CASES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    config, folder = CASES[request.param], tmp_path_factory.mktemp("whole")
    return Whole(config, list(train(config, CPU, checkpoints=folder)), tensors(folder))


def test_the_runs_that_are_stopped_below_learn_and_are_measured(whole: Whole) -> None:
    assert [epoch.step for epoch in whole.epochs] == [0, STEPS, 2 * STEPS]
    assert all(math.isfinite(epoch.val_loss) for epoch in whole.epochs)
    assert whole.epochs[2].train_loss < whole.epochs[1].train_loss
    assert len(whole.epochs[2].layers) == (0 if whole.config.rule.name == "bp" else 10)


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_run_stopped_after_an_epoch_goes_on_as_if_it_had_not(whole: Whole, epochs: int, tmp_path: Path) -> None:
    run = train(whole.config, CPU, checkpoints=tmp_path)
    for _ in range(epochs + 1):
        next(run)
    run.close()
    continued = list(train(whole.config, CPU, checkpoints=tmp_path))
    assert numbers(continued) == numbers(whole.epochs)
    assert_equal(tensors(tmp_path), whole.tensors)


def test_a_run_stopped_after_every_batch_goes_on_as_if_it_had_not(whole: Whole, tmp_path: Path) -> None:
    for _ in range(2 * STEPS):
        with pytest.raises(TrainingInterrupted):
            list(train(whole.config, CPU, checkpoints=tmp_path, should_stop=after(1)))
    continued = list(train(whole.config, CPU, checkpoints=tmp_path, should_stop=after(1)))  # no batch is left
    assert numbers(continued) == numbers(whole.epochs)
    assert_equal(tensors(tmp_path), whole.tensors)


@pytest.mark.parametrize("steps", range(1, 2 * STEPS + 1))
def test_a_run_stopped_once_in_mid_epoch_goes_on_as_if_it_had_not(steps: int, tmp_path: Path) -> None:
    config = short_run("kp")
    with pytest.raises(TrainingInterrupted):
        list(train(config, CPU, checkpoints=tmp_path, should_stop=after(steps)))
    assert numbers(train(config, CPU, checkpoints=tmp_path)) == numbers(train(config, CPU))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = list(train(short_run(), CPU, checkpoints=tmp_path))
    again = list(train(short_run(), CPU, checkpoints=tmp_path, should_stop=after(1)))
    assert numbers(again) == numbers(first)
    assert [epoch.seconds for epoch in again] == [epoch.seconds for epoch in first]


DROPPING = """
from torch import nn

def net(shape, classes):
    channels, height, width = shape
    inputs = channels * height * width
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, classes))
"""


def test_a_model_with_dropout_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    (tmp_path / "dropping.py").write_text(DROPPING)
    config = short_run("fa", model=ModelConfig(f"{tmp_path}/dropping.py:net"))
    undisturbed = list(train(config, CPU))
    with pytest.raises(TrainingInterrupted):
        list(train(config, CPU, checkpoints=tmp_path / "kept", should_stop=after(2)))
    assert numbers(list(train(config, CPU, checkpoints=tmp_path / "kept"))) == numbers(undisturbed)


def test_a_model_of_ones_own_is_known_by_its_text_not_by_its_path(tmp_path: Path) -> None:
    paths = [tmp_path / "one.py", tmp_path / "two.py"]
    for path in paths:
        path.write_text(DROPPING)
    first, moved = (run_key(short_run("fa", model=ModelConfig(f"{path}:net")), "pictures") for path in paths)
    paths[0].write_text(DROPPING.replace("32", "8"))
    edited = run_key(short_run("fa", model=ModelConfig(f"{paths[0]}:net")), "pictures")
    assert first == moved != edited
