"""The training loop: its numbers, and that probing and what ran before change none of them."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.config.recipes import shrink_config
from nowt.config.run_config import DataConfig, OptimConfig, ProbeConfig
from nowt.data.datasets import open_data
from nowt.models.registry import build_model
from nowt.training.alignment import angle
from nowt.training.loop import train
from nowt.training.state import TrainingState
from tests.support.short_runs import CASES, CPU, RULES, STEPS, assert_equal, fields_of, numbers, short_run, tensors


def test_under_backprop_the_loop_is_plain_pytorch() -> None:
    config = short_run("bp")
    data = open_data(config.data, CPU, test=False)
    seeds = config.seeds.resolve(config.seed)
    model = build_model(config.model, data.shape, data.classes, config.seed)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 1e-4}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2 * STEPS)
    losses, errors = [], []
    for epoch in range(2):
        for x, y in data.train.batches(16, seeds=seeds, epoch=epoch, drop_last=True):
            output = model(x)
            loss = F.cross_entropy(output, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cosine.step()
            losses.append(loss.item())
            errors.append((output.argmax(1) != y).float().mean().item())
    _, first, last = train(config, CPU)
    assert first.train_loss == pytest.approx(sum(losses[:STEPS]) / STEPS, rel=1e-5)
    assert last.train_loss == pytest.approx(sum(losses[STEPS:]) / STEPS, rel=1e-5)
    assert (first.train_error, last.train_error) == pytest.approx(
        (sum(errors[:STEPS]) / STEPS, sum(errors[STEPS:]) / STEPS)
    )
    assert (last.val_loss, last.val_error) == pytest.approx(score(model, data.val.batches(512)), rel=1e-5)


def score(model: nn.Module, batches: Iterator[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Loss and error of the one batch there is."""
    ((x, y),) = batches
    with torch.no_grad():
        output = model.eval()(x)
    return F.cross_entropy(output, y).item(), (output.argmax(1) != y).float().mean().item()


@pytest.mark.parametrize("rule", RULES)
def test_epoch_0_is_the_network_before_learning(rule: str) -> None:
    config = short_run(rule, fields=fields_of(rule), test=True)
    data = open_data(config.data, CPU)
    training = TrainingState.create(config, CPU, data)
    model = build_model(config.model, data.shape, data.classes, config.seed)
    first = next(train(config, CPU, data=data))
    assert (first.epoch, first.step, first.lr, first.presentations, first.seconds) == (0, 0, 0.0, 0, 0.0)
    assert math.isnan(first.train_loss) and math.isnan(first.train_error)
    assert data.test is not None
    assert (first.val_loss, first.val_error) == pytest.approx(score(model, data.val.batches(512)), rel=1e-5)
    assert (first.test_loss, first.test_error) == pytest.approx(score(model, data.test.batches(512)), rel=1e-5)
    training.before_learning()
    angles = [angle(layer.feedback, layer.weight) for layer in training.layers]
    assert [layer.matrix_angle for layer in first.layers] == angles


def test_every_rule_of_a_seed_starts_at_one_w_and_sees_the_same_batches() -> None:
    def start(rule: str, seed: int) -> tuple[dict[str, Tensor], list[tuple[Tensor, Tensor]]]:
        config = short_run(rule, fields=fields_of(rule), seed=seed)
        training = TrainingState.create(config, CPU, open_data(config.data, CPU, test=False))
        training.before_learning()
        weights = {k: v for k, v in training.model.state_dict().items() if "feedback" not in k and "largest" not in k}
        batches = []
        for training.epoch in range(2):
            batches += list(training.remaining_batches())
        return weights, batches

    weights, batches = start("bp", seed=3)
    for rule in RULES[1:]:
        others_weights, others_batches = start(rule, seed=3)
        assert_equal(others_weights, weights)
        assert all(
            torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in zip(batches, others_batches, strict=True)
        )
    other_weights, other_batches = start("bp", seed=4)
    assert not torch.equal(other_weights["conv1.weight"], weights["conv1.weight"])
    assert not torch.equal(other_batches[0][0], batches[0][0])


@pytest.fixture
def used_process() -> Iterator[None]:
    """A process in which another program has been at torch's globals."""
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(99)
    torch.rand(7)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("case", ["bp", "wm", "ss", "kp with adamw", "fa in bfloat16", "kp in float64"])
def test_what_ran_before_in_the_process_changes_no_number(
    case: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    config = replace(CASES[case], data=DataConfig("synthetic", size=8, train_limit=48), epochs=1)
    fresh = list(train(config, CPU, checkpoints=tmp_path / "fresh"))
    request.getfixturevalue("used_process")
    used = list(train(config, CPU, checkpoints=tmp_path / "used"))
    assert numbers(used) == numbers(fresh)
    assert_equal(tensors(tmp_path / "used"), tensors(tmp_path / "fresh"))


def test_runs_that_take_turns_in_one_process_do_not_disturb_each_other() -> None:
    configs = [CASES[name] for name in ("wm", "kp", "fa in bfloat16")]
    turns = list(zip(*(train(config, CPU) for config in configs), strict=True))
    for config, epochs in zip(configs, zip(*turns, strict=True), strict=True):
        assert numbers(epochs) == numbers(train(config, CPU))


@pytest.mark.parametrize("case", ["fa", "wm", "kp", "ss", "fa in bfloat16"])
def test_measuring_alignment_changes_no_other_number(case: str, tmp_path: Path) -> None:
    def run(interval: int) -> list[dict[str, Any]]:
        config = replace(CASES[case], probe=ProbeConfig(interval=interval))
        return numbers(train(config, CPU, checkpoints=tmp_path / str(interval)))

    never, always = run(0), run(1)
    assert [len(epoch.pop("layers")) for epoch in never] == [0, 0, 0]
    assert [len(epoch.pop("layers")) for epoch in always] == [10, 10, 10]
    assert never == always
    assert_equal(tensors(tmp_path / "0"), tensors(tmp_path / "1"))


def test_alignment_is_measured_at_its_interval_and_at_the_end() -> None:
    config = short_run(epochs=3, probe=ProbeConfig(interval=2))
    assert [len(epoch.layers) for epoch in train(config, CPU)] == [10, 0, 10, 10]


def test_opening_the_test_pictures_changes_no_other_number() -> None:
    closed = numbers(train(short_run(), CPU))
    opened = numbers(train(short_run(test=True), CPU))
    scores = [(epoch.pop("test_loss"), epoch.pop("test_error")) for epoch in closed]
    assert scores == [(None, None)] * 3
    assert all(0 <= epoch.pop("test_error") <= 1 and epoch.pop("test_loss") > 0 for epoch in opened)
    assert closed == opened


def test_the_rate_of_the_last_step_is_recorded() -> None:
    def rates(**fields: Any) -> list[float]:
        return [epoch.lr for epoch in train(short_run("bp", optim=OptimConfig(lr=0.2, **fields)), CPU)]

    assert rates(schedule="constant") == [0.0, 0.2, 0.2]
    assert rates(schedule="step", milestones=(1.0,)) == pytest.approx([0.0, 0.2, 0.02])
    last = [0.1 * (1 + math.cos(math.pi * step / 6)) for step in (2, 5)]
    assert rates(schedule="cosine") == pytest.approx([0.0, *last])
    assert rates(schedule="constant", warmup=2.0) == pytest.approx([0.0, 0.1, 0.2])


def test_a_quick_run_is_the_same_run_made_small() -> None:
    config = short_run(epochs=9, data=DataConfig("digits"))
    small = shrink_config(config)
    assert (small.epochs, small.data.train_limit, small.data.score_limit) == (2, 256, 256)
    assert replace(small, epochs=9, data=config.data) == config
    smaller = short_run(epochs=1, data=DataConfig("digits", train_limit=48, score_limit=40))
    assert shrink_config(smaller) == smaller


def test_a_quick_run_scores_few_pictures_too() -> None:
    data = open_data(shrink_config(short_run(data=DataConfig("digits"))).data, CPU)
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (256, 144, 256)
