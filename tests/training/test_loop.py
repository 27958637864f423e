"""The training loop: its results, which neither measurements nor earlier runs in the process change."""

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
from nowt.layers.alignment import angle
from nowt.models.registry import build_model
from nowt.store.correct_images import unpack_correct
from nowt.training import checkpoint
from nowt.training.loop import train
from nowt.training.state import TrainingState
from tests.support.short_runs import CASES, CPU, RULES, STEPS, assert_equal, fields_of, numbers, short_run, tensors


def test_under_bp_training_equals_a_plain_pytorch_loop() -> None:
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
    """Return loss and error on the only batch of ``batches``."""
    ((x, y),) = batches
    with torch.no_grad():
        output = model.eval()(x)
    return F.cross_entropy(output, y).item(), (output.argmax(1) != y).float().mean().item()


@pytest.mark.parametrize("rule", RULES)
def test_epoch_0_measures_the_network_before_learning(rule: str) -> None:
    config = short_run(rule, fields=fields_of(rule), test=True)
    data = open_data(config.data, CPU)
    training = TrainingState.create(config, CPU, data)
    model = build_model(config.model, data.shape, data.classes, config.seed)
    first = next(train(config, CPU, data=data))
    assert (first.epoch, first.step, first.lr, first.presentations) == (0, 0, 0.0, 0)
    assert first.seconds >= 0  # of the rule's work before learning
    assert math.isnan(first.train_loss) and math.isnan(first.train_error)
    assert data.test is not None
    assert (first.val_loss, first.val_error) == pytest.approx(score(model, data.val.batches(512)), rel=1e-5)
    assert (first.test_loss, first.test_error) == pytest.approx(score(model, data.test.batches(512)), rel=1e-5)
    training.before_learning()
    found = [layer.matrix_angle for layer in first.layers]
    if rule in ("dfa", "dkp"):  # their B is not of W's shape
        assert found and all(map(math.isnan, found))
    else:
        assert found == [angle(layer.feedback, layer.weight) for layer in training.layers]


def test_with_one_seed_all_rules_have_the_same_initial_w_and_the_same_batches() -> None:
    def initial_weights_and_batches(rule: str, seed: int) -> tuple[dict[str, Tensor], list[tuple[Tensor, Tensor]]]:
        config = short_run(rule, fields=fields_of(rule), seed=seed)
        training = TrainingState.create(config, CPU, open_data(config.data, CPU, test=False))
        training.before_learning()
        own = ("feedback", "largest", "velocity")
        state = training.model.state_dict()
        weights = {name: value for name, value in state.items() if not name.endswith(own)}
        batches = []
        for training.epoch in range(2):
            batches += list(training.remaining_batches())
        return weights, batches

    weights, batches = initial_weights_and_batches("bp", seed=3)
    for rule in RULES[1:]:
        others_weights, others_batches = initial_weights_and_batches(rule, seed=3)
        assert_equal(others_weights, weights)
        assert all(
            torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in zip(batches, others_batches, strict=True)
        )
    other_weights, other_batches = initial_weights_and_batches("bp", seed=4)
    assert not torch.equal(other_weights["conv1.weight"], weights["conv1.weight"])
    assert not torch.equal(other_batches[0][0], batches[0][0])


@pytest.fixture
def changed_torch_globals() -> Iterator[None]:
    """Change the global settings of torch, as another program in the process might."""
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
def test_earlier_changes_of_torch_globals_do_not_change_the_results(
    case: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    config = replace(CASES[case], data=DataConfig("synthetic", size=8, train_limit=48), epochs=1)
    fresh = list(train(config, CPU, checkpoints=tmp_path / "fresh"))
    request.getfixturevalue("changed_torch_globals")
    after_changes = list(train(config, CPU, checkpoints=tmp_path / "after changes"))
    assert numbers(after_changes) == numbers(fresh)
    assert_equal(tensors(tmp_path / "after changes"), tensors(tmp_path / "fresh"))


def test_interleaved_runs_in_one_process_do_not_affect_each_other() -> None:
    configs = [CASES[name] for name in ("wm", "kp", "fa in bfloat16")]
    turns = list(zip(*(train(config, CPU) for config in configs), strict=True))
    for config, epochs in zip(configs, zip(*turns, strict=True), strict=True):
        assert numbers(epochs) == numbers(train(config, CPU))


@pytest.mark.parametrize("case", ["fa", "wm", "kp", "ss", "fa in bfloat16"])
def test_measuring_alignment_does_not_change_the_training(case: str, tmp_path: Path) -> None:
    def run(interval: int) -> list[dict[str, Any]]:
        config = replace(CASES[case], probe=ProbeConfig(interval=interval))
        return numbers(train(config, CPU, checkpoints=tmp_path / str(interval)))

    never, always = run(0), run(1)
    assert [len(epoch.pop("layers")) for epoch in never] == [0, 0, 0]
    assert [len(epoch.pop("layers")) for epoch in always] == [10, 10, 10]
    assert never == always
    assert_equal(tensors(tmp_path / "0"), tensors(tmp_path / "1"))


def test_alignment_is_measured_at_its_interval_and_at_the_last_epoch() -> None:
    config = short_run(epochs=3, probe=ProbeConfig(interval=2))
    assert [len(epoch.layers) for epoch in train(config, CPU)] == [10, 0, 10, 10]


def test_scoring_the_test_images_does_not_change_the_training() -> None:
    without_test = numbers(train(short_run(), CPU))
    with_test = numbers(train(short_run(test=True), CPU))
    scores = [(epoch.pop("test_loss"), epoch.pop("test_error")) for epoch in without_test]
    assert scores == [(None, None)] * 3
    assert all(0 <= epoch.pop("test_error") <= 1 and epoch.pop("test_loss") > 0 for epoch in with_test)
    assert with_test[-1].pop("test_correct") and with_test[-1].pop("test_images") == 359
    assert without_test == with_test


def test_the_last_epoch_records_which_test_images_are_classified_correctly(tmp_path: Path) -> None:
    config = short_run(test=True)
    *others, last = train(config, CPU, checkpoints=tmp_path)
    assert [epoch.test_correct for epoch in others] == ["", ""]
    correct = unpack_correct(last.test_correct, last.test_images)
    data = open_data(config.data, CPU)
    assert data.test is not None and len(correct) == len(data.test)
    assert 1 - correct.mean() == pytest.approx(last.test_error)
    training = TrainingState.create(config, CPU, data)
    state = checkpoint.load(tmp_path)
    assert state is not None
    training.load_state_dict(state)
    model = training.model.eval()
    with torch.no_grad():
        expected = [bool(model(x).argmax() == y) for x, y in data.test.batches(1)]
    assert correct.tolist() == expected
    assert list(train(config, CPU, checkpoints=tmp_path))[-1] == last  # a finished run yields its epochs again


def test_the_test_images_can_be_scored_after_the_last_epoch_only() -> None:
    always, once = numbers(train(short_run(test=True), CPU)), numbers(train(short_run(test="last"), CPU))
    assert [epoch["test_error"] is None for epoch in once] == [True, True, False]
    assert once[-1] == always[-1]


def test_the_learning_rate_of_the_last_step_of_each_epoch_is_recorded() -> None:
    def rates(**fields: Any) -> list[float]:
        return [epoch.lr for epoch in train(short_run("bp", optim=OptimConfig(lr=0.2, **fields)), CPU)]

    assert rates(schedule="constant") == [0.0, 0.2, 0.2]
    assert rates(schedule="step", milestones=(1.0,)) == pytest.approx([0.0, 0.2, 0.02])
    last = [0.1 * (1 + math.cos(math.pi * step / 6)) for step in (2, 5)]
    assert rates(schedule="cosine") == pytest.approx([0.0, *last])
    assert rates(schedule="constant", warmup=2.0) == pytest.approx([0.0, 0.1, 0.2])


def test_a_quick_run_has_fewer_epochs_and_images_and_is_otherwise_the_same() -> None:
    config = short_run(epochs=9, data=DataConfig("digits"))
    small = shrink_config(config)
    assert (small.epochs, small.data.train_limit, small.data.score_limit) == (2, 256, 256)
    assert replace(small, epochs=9, data=config.data) == config
    smaller = short_run(epochs=1, data=DataConfig("digits", train_limit=48, score_limit=40))
    assert shrink_config(smaller) == smaller


def test_a_quick_run_is_scored_on_fewer_images() -> None:
    data = open_data(shrink_config(short_run(data=DataConfig("digits"))).data, CPU)
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (256, 144, 256)
