"""The estimates of ``nowt plan``, compared with what happens in training."""

import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nowt.cli.main import main
from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig, OptimConfig, RunConfig
from nowt.data.datasets import open_data
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.weight_mirror import WeightMirror
from nowt.store.study_file import write_study_file
from nowt.studies.planning.alignment import mirror_share
from nowt.studies.planning.estimate import plan
from nowt.studies.planning.probe import minutes_per_run, probe_training
from nowt.studies.study import Cell, Study, study_to_json
from nowt.training.schedule import learning_rate, remaining_difference
from nowt.training.state import TrainingState
from tests.support.synthetic_images import image_folder

SMALL = RunConfig(data=DataConfig("synthetic"), epochs=2, batch=32)


@pytest.mark.parametrize(
    "optim",
    [
        OptimConfig(weight_decay=0.01, momentum=0.0, schedule="constant"),
        OptimConfig(weight_decay=0.01, warmup=1.0),
        OptimConfig(weight_decay=0.01, nesterov=True),
        OptimConfig(name="adamw", lr=0.01, weight_decay=0.1),
    ],
)
def test_the_remaining_difference_of_kp_is_that_of_torchs_optimizer(optim: OptimConfig) -> None:
    config, steps = replace(SMALL, optim=optim), 25
    weight = torch.tensor([1.0], dtype=torch.float64)
    other = torch.tensor([0.0], dtype=torch.float64)
    kinds = {"weight_decay": optim.weight_decay, "lr": optim.lr}
    if optim.name == "adamw":
        optimizer: torch.optim.Optimizer = torch.optim.AdamW([weight, other], **kinds)
    else:
        optimizer = torch.optim.SGD([weight, other], momentum=optim.momentum, nesterov=optim.nesterov, **kinds)
    for step in range(steps * config.epochs):
        optimizer.param_groups[0]["lr"] = learning_rate(optim, step, steps, config.epochs)
        weight.grad = torch.sin(torch.tensor([float(step)], dtype=torch.float64))
        other.grad = weight.grad.clone()
        optimizer.step()
    assert remaining_difference(config, steps)[-1] == pytest.approx(abs(float(weight - other)), rel=1e-9)


def test_a_slow_schedule_agrees_with_the_closed_form() -> None:
    config = replace(SMALL, optim=OptimConfig(lr=0.1, weight_decay=1e-4, schedule="constant"), epochs=1)
    assert remaining_difference(config, 5005)[-1] == pytest.approx(0.6059, abs=1e-3)


def test_the_plan_shows_the_angle_per_layer_and_epoch_and_the_share_of_mirror_mode() -> None:
    rules = {
        "kp": KolenPollack(),
        "wm": WeightMirror(),
        "held": WeightMirror(target_angle=30.0),
        "fa": FeedbackAlignment(),
    }
    optim = OptimConfig(weight_decay=0.01, schedule="constant")
    cells = tuple(Cell(name, replace(SMALL, rule=rule, optim=optim)) for name, rule in rules.items())
    page = plan(Study("four", "?", cells, seeds=(0,)), Placement())
    assert "4 runs" in page and "median angle of B to W" in page
    rows = {line.split()[0]: line for line in page.splitlines() if line}
    assert re.search(r"90° before learning, .* \d+° to \d+° at the end$", rows["kp"].rstrip())
    assert re.search(r"\d+° at the end; mirror mode \d+ % of operations", rows["wm"])
    assert re.search(r"at the end; root mean square at most (2\d|30)°; mirror mode", rows["held"])
    assert "none: B is fixed" in rows["fa"]
    for title in ("kp: smallest angle", "wm: angle", "held: angle"):
        assert f"{title} of B to W\nafter epoch " in re.sub(" +\n", "\n", page)
    assert "fa: angle" not in page
    assert page.count("\nlayer1.0.conv1 ") == 3 and len(re.findall(r"^conv1 .*°.*°.*°", page, re.MULTILINE)) == 3


def test_the_plan_says_nothing_of_angles_for_which_there_is_no_theory() -> None:
    others = ({"receiver_noise": 1.0}, {"bias": True}, {"decay": 0.0}, {"normalize": "positions"})
    for fields in ({"through": "nonlinearity"}, *others):
        cell = Cell("wm", replace(SMALL, rule=WeightMirror(**fields)))  # type: ignore[arg-type]
        assert "after epoch" not in plan(Study("one", "?", (cell,), seeds=(0,)), Placement())


def test_a_warning_is_printed_if_kp_has_no_time_to_align() -> None:
    weak = replace(SMALL, rule=KolenPollack(), optim=OptimConfig(weight_decay=1e-4))
    strong = replace(weak, optim=OptimConfig(weight_decay=0.02, schedule="constant"), epochs=40)
    study = Study("two", "Is there time?", (Cell("weak", weak), Cell("strong", strong)), seeds=(0,))
    page = plan(study, Placement())
    assert "2 runs" in page
    assert "warning: weak: at the end the median angle of kp will be about" in page
    assert "this study varies optim.weight_decay, so this may be what it compares" in page
    assert "warning: strong" not in page


def test_the_plan_describes_each_data_set_once_and_names_copies_of_images(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    shutil.copy(root / "train/cat/003.jpg", root / "val/cat/copy.jpg")
    folder = replace(SMALL, data=DataConfig("folder", size=16), batch=8, epochs=1)
    cells = Cell("bp", folder), Cell("kp", replace(folder, rule=KolenPollack()))
    placement = Placement(store=str(tmp_path / "store"), data=str(root))
    lines = plan(Study("two", "?", cells, seeds=(0,)), placement).splitlines()
    assert lines[1] == f"data folder in {root}: 36 training, 4 validation and 9 test images of 2 classes"
    assert lines[2].startswith("1 of 49 images is a copy of another, and is kept: 1 of the test split (folder val) ")
    assert lines[3] == ""


def test_the_estimate_counts_every_scoring_of_validation_and_test_images() -> None:
    """Scoring an image costs a third of training on it; epoch 0 is scored, too."""
    data = open_data(SMALL.data, Placement())
    training = TrainingState.create(SMALL, Placement(), data)
    assert data.test is not None
    shown = training.steps_per_epoch * SMALL.batch * SMALL.epochs
    for test, times in ((True, 3), ("last", 1)):
        training.config = replace(SMALL, test=test)  # type: ignore[arg-type]
        images = shown + (3 * len(data.val) + times * len(data.test)) / 3
        assert minutes_per_run(training, data, seconds=60.0) == pytest.approx(images / SMALL.batch)


def test_the_plan_of_a_changed_study_says_that_it_is_a_new_one(tmp_path: Path) -> None:
    study = Study("s", "?", (Cell("kp", SMALL),), seeds=(0,))
    assert "has changed" not in plan(study, Placement(store=str(tmp_path)))
    write_study_file(tmp_path, "s-00000001", study_to_json(study))
    page = plan(study, Placement(store=str(tmp_path)))
    assert f"s has changed since s-00000001: this is a new study, {study.key}" in page


def test_the_first_steps_do_not_count_even_if_an_epoch_has_only_two(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(SMALL, data=DataConfig("digits", train_limit=32), batch=16, epochs=10)
    training = TrainingState.create(config, Placement(device="cpu"), open_data(config.data, Placement(), False))
    step, calls = TrainingState.train_step, list[int]()

    def slow_at_first(self: TrainingState, x: Tensor, y: Tensor) -> None:
        calls.append(self.step)
        time.sleep(0.5 if len(calls) <= 3 else 0.0)
        step(self, x, y)

    monkeypatch.setattr(TrainingState, "train_step", slow_at_first)
    assert training.steps_per_epoch == 2
    assert probe_training(training).seconds < 0.2
    assert calls == list(range(12))


@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (3, 3)])
def test_a_run_of_a_few_steps_is_timed_by_these(epochs: int, steps: int) -> None:
    config = replace(SMALL, data=DataConfig("digits", train_limit=16), batch=16, epochs=epochs)
    training = TrainingState.create(config, Placement(device="cpu"), open_data(config.data, Placement(), False))
    assert probe_training(training).seconds > 0 and training.step == steps


def test_mirror_mode_counts_by_its_share_of_the_operations_also_before_learning() -> None:
    def minutes(**fields: Any) -> float:
        config = replace(SMALL, rule=WeightMirror(**fields), test=False)
        data = open_data(config.data, Placement(), False)
        training = TrainingState.create(config, Placement(device="cpu"), data)
        run = training.steps_per_epoch * config.epochs / (1 - mirror_share(training, config.rule))
        scored = len(data.val) * (config.epochs + 1) / config.batch / 3
        assert minutes_per_run(training, data, seconds=60.0) == pytest.approx(run + scored)
        return run

    assert minutes(warmup=1000, interval=0) > 1.5 * minutes(warmup=1, interval=0)


def test_an_option_that_changes_no_estimate_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "rules_on_digits", "--checkpoint-seconds", "5"]) == 2
    assert "there is no option --checkpoint-seconds" in capsys.readouterr().err
