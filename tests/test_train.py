"""The training loop: what it measures, and that stopping, probing and what ran before change no number."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from nowt.ablate import pictures_of, plan_run
from nowt.alignment import angle
from nowt.config import DataConfig, ModelConfig, OptimConfig, ProbeConfig, RunConfig
from nowt.data import open_data
from nowt.hands import in_process
from nowt.ledger import Ledger
from nowt.log import Epoch, RunLog, read
from nowt.models import build_model
from nowt.train import Diverged, Interrupted, quick, train
from nowt.training import Training
from short_runs import CPU, STEPS, after, assert_equal, numbers, short_run, tensors
from torch import Tensor, nn

RULES = ["bp", "fa", "ss", "wm", "kp", "sham"]
MIRROR = {"interval": 2, "warmup": 2, "samples": 4, "extent": 4}  # a mirror step every second step


def fields_of(rule: str) -> dict[str, Any]:
    return {"wm": MIRROR, "ss": {"magnitudes": "redrawn"}}.get(rule, {})


CASES: dict[str, RunConfig] = {
    **{rule: short_run(rule, fields=fields_of(rule)) for rule in RULES},
    "kp with nesterov": short_run("kp", optim=OptimConfig(lr=0.1, nesterov=True, schedule="constant", warmup=1.5)),
    "kp with adamw": short_run("kp", optim=OptimConfig("adamw", lr=0.01, clip=1.0, weight_decay=0.1)),
    "kp in float64": short_run("kp", precision="float64"),
    "fa in bfloat16": short_run("fa", precision="bfloat16"),
    "wm in bfloat16": short_run("wm", fields=MIRROR, precision="bfloat16"),
    "with augmentation": short_run("fa", data=DataConfig("digits", train_limit=26, repeat=2, augment="shift_flip")),
}


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


# stopped and continued


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
        with pytest.raises(Interrupted):
            list(train(whole.config, CPU, checkpoints=tmp_path, should_stop=after(1)))
    continued = list(train(whole.config, CPU, checkpoints=tmp_path, should_stop=after(1)))  # no batch is left
    assert numbers(continued) == numbers(whole.epochs)
    assert_equal(tensors(tmp_path), whole.tensors)


@pytest.mark.parametrize("steps", range(1, 2 * STEPS + 1))
def test_a_run_stopped_once_in_mid_epoch_goes_on_as_if_it_had_not(steps: int, tmp_path: Path) -> None:
    config = short_run("kp")
    with pytest.raises(Interrupted):
        list(train(config, CPU, checkpoints=tmp_path, should_stop=after(steps)))
    assert numbers(train(config, CPU, checkpoints=tmp_path)) == numbers(train(config, CPU))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = list(train(short_run(), CPU, checkpoints=tmp_path))
    again = list(train(short_run(), CPU, checkpoints=tmp_path, should_stop=after(1)))
    assert numbers(again) == numbers(first)
    assert [epoch.seconds for epoch in again] == [epoch.seconds for epoch in first]


# the numbers and nothing but the numbers


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
    training = Training.start(config, CPU, data)
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
        training = Training.start(config, CPU, open_data(config.data, CPU, test=False))
        training.before_learning()
        weights = {k: v for k, v in training.model.state_dict().items() if "feedback" not in k and "largest" not in k}
        batches = []
        for training.epoch in range(2):
            batches += list(training.rest_of_epoch())
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


# costs

DENSE = ModelConfig("mlp", hidden=(20,))
MAPS = 64 * 20 + 20 * 10  # multiplications of one picture's way forward


@pytest.mark.parametrize("rule", ["bp", "fa", "ss", "kp", "sham"])
def test_presentations_and_operations_without_mirror_mode(rule: str) -> None:
    epochs = list(train(short_run(rule, model=DENSE), CPU))
    assert [epoch.presentations for epoch in epochs] == [0, 48, 96]
    assert [epoch.mirror_presentations for epoch in epochs] == [0, 0, 0]
    # forward and the gradient of W for both layers, the error's way back for the upper one only
    a_picture = 2 * (2 * MAPS + 20 * 10)
    assert [epoch.flops for epoch in epochs] == [0, 48 * a_picture, 96 * a_picture]


@pytest.mark.parametrize(
    ("warmup", "interval", "mirror_steps"), [(5, 2, [5, 6, 8]), (0, 2, [0, 1, 3]), (5, 0, [5, 5, 5]), (0, 4, [0, 0, 1])]
)
def test_presentations_and_operations_of_mirror_mode(warmup: int, interval: int, mirror_steps: list[int]) -> None:
    fields = {"warmup": warmup, "interval": interval, "samples": 4, "extent": 2}
    epochs = list(train(short_run("wm", fields=fields, model=DENSE), CPU))
    assert [epoch.presentations for epoch in epochs] == [0, 48, 96]
    assert [epoch.mirror_presentations for epoch in epochs] == [4 * n for n in mirror_steps]
    training = [0, 48 * 2 * (2 * MAPS + 20 * 10), 96 * 2 * (2 * MAPS + 20 * 10)]
    a_mirror_step = 4 * 2**2 * 2 * (2 * MAPS)  # samples × positions × (the layers' answers and the outer products)
    expected = [a + n * a_mirror_step for a, n in zip(training, mirror_steps, strict=True)]
    assert [epoch.flops for epoch in epochs] == pytest.approx(expected)


def test_pictures_that_fill_no_batch_wait_and_repeats_are_counted() -> None:
    config = short_run("bp", data=DataConfig("digits", train_limit=25, repeat=2))
    assert [(epoch.step, epoch.presentations) for epoch in train(config, CPU)] == [(0, 0), (3, 48), (6, 96)]


def test_the_seconds_are_those_of_training_and_of_the_probe_and_only_grow() -> None:
    first, second, third = train(CASES["wm"], CPU)
    assert 0 == first.seconds < second.seconds < third.seconds
    assert 0 < first.probe_seconds < second.probe_seconds < third.probe_seconds


def test_a_quick_run_is_the_same_run_made_small() -> None:
    config = short_run(epochs=9, data=DataConfig("digits"))
    small = quick(config)
    assert (small.epochs, small.data.train_limit, small.data.score_limit) == (2, 256, 256)
    assert replace(small, epochs=9, data=config.data) == config
    smaller = short_run(epochs=1, data=DataConfig("digits", train_limit=48, score_limit=40))
    assert quick(smaller) == smaller


def test_a_quick_run_scores_few_pictures_too() -> None:
    data = open_data(quick(short_run(data=DataConfig("digits"))).data, CPU)
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (256, 144, 256)


# divergence


EXPLODES = short_run(
    "fa", epochs=3, optim=OptimConfig(lr=0.1, schedule="step", milestones=(1.0,), gamma=1e30)
)  # the rate is 0.1 in the first epoch and 1e29 in the second


def test_a_run_whose_loss_is_not_finite_diverged_and_does_so_again_when_continued(tmp_path: Path) -> None:
    for _ in range(2):
        seen: list[Epoch] = []
        with pytest.raises(Diverged, match=r"^diverged at epoch 2$") as caught:
            seen.extend(train(EXPLODES, CPU, checkpoints=tmp_path))
        assert caught.value.epoch == 2
    run = train(EXPLODES, CPU)
    kept = [next(run), next(run)]
    assert [epoch.epoch for epoch in kept] == [0, 1]
    assert all(math.isfinite(epoch.val_loss) for epoch in kept)


def test_the_log_of_a_diverged_run_keeps_the_epochs_before(tmp_path: Path) -> None:
    heard: list[RunLog] = []
    planned = plan_run("fa", EXPLODES, pictures_of(EXPLODES, CPU))
    ledger = Ledger(tmp_path, (planned,), lambda planned, run: heard.append(run))
    assert in_process.run(ledger, replace(CPU, store=str(tmp_path)))
    log = read(tmp_path / "logs" / f"{planned.key}.jsonl")
    assert (log.state, log.reason) == ("diverged", "diverged at epoch 2")
    assert [epoch.epoch for epoch in log.epochs] == [0, 1]
    assert ledger.decide().do == "done"
