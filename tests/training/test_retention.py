"""Which checkpoints a run keeps: the last, all, or those of chosen epochs, also after interruptions; messages."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nowt.cli.main import main
from nowt.config.placement import Keep, Placement
from nowt.core.errors import ConfigError
from nowt.data.datasets import open_data
from nowt.execution.job import Job
from nowt.execution.notices import missing_checkpoints_notice
from nowt.store.run_log import read_all
from nowt.studies.ablation import shrink_study
from nowt.studies.planning.estimate import _bytes, plan
from nowt.studies.single_run import train_one
from nowt.studies.study import Cell, Study
from nowt.training import checkpoint
from nowt.training.loop import TrainingInterrupted, train
from nowt.training.retention import parse_keep
from nowt.training.state import TrainingState
from tests.support.kept_studies import kept_study
from tests.support.short_runs import CPU, STEPS, after, assert_equal, short_run

CONFIG = short_run("kp", epochs=3)


def names(folder: Path) -> list[str]:
    """Return the file names in the folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def epoch_files(*numbers: int) -> list[str]:
    """Return the names of the checkpoints of these epochs."""
    return [f"epoch-{number:06d}.pt" for number in numbers]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [(None, []), ("last", []), ("all", epoch_files(0, 1, 2, 3)), ((0, 2), epoch_files(0, 2)), ([1], epoch_files(1))],
)
def test_the_checkpoints_of_chosen_epochs_are_kept_in_addition_to_the_last(
    keep: Keep | None, kept: list[str], tmp_path: Path
) -> None:
    list(train(CONFIG, replace(CPU, keep=keep, checkpoint_seconds=0), checkpoints=tmp_path))
    assert names(tmp_path) == [*kept, f"step-{3 * STEPS:09d}.pt"]
    for epoch, path in checkpoint.kept_checkpoints(tmp_path, last=3).items():
        state = checkpoint.read(path)
        assert (state["epoch"], state["position"], state["step"]) == (epoch, 0, epoch * STEPS)


@pytest.mark.parametrize("steps", [1, STEPS, STEPS + 2])
def test_an_interrupted_run_keeps_the_same_checkpoints(steps: int, tmp_path: Path) -> None:
    keeping = replace(CPU, keep="all")
    uninterrupted, resumed = tmp_path / "uninterrupted", tmp_path / "resumed"
    list(train(CONFIG, keeping, checkpoints=uninterrupted))
    with pytest.raises(TrainingInterrupted):
        list(train(CONFIG, keeping, checkpoints=resumed, should_stop=after(steps)))
    list(train(CONFIG, keeping, checkpoints=resumed))
    assert names(resumed) == names(uninterrupted)
    for name in epoch_files(0, 1, 2, 3):
        found, expected = (checkpoint.read(folder / name)["model"] for folder in (resumed, uninterrupted))
        assert_equal(found, expected)


def test_a_checkpoint_left_by_an_earlier_attempt_is_overwritten(tmp_path: Path) -> None:
    state = {"epoch": 1, "position": 0, "w": torch.ones(2)}
    (tmp_path / "epoch-000001.pt").write_bytes(b"an earlier attempt")
    checkpoint.save(tmp_path, 3, state, keep_epochs="all")
    assert checkpoint.read(tmp_path / "epoch-000001.pt")["epoch"] == 1
    assert names(tmp_path) == ["epoch-000001.pt", "step-000000003.pt"]


def test_a_kept_checkpoint_is_a_hard_link_and_takes_no_extra_space(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 3, {"epoch": 1, "position": 0}, keep_epochs=(1,))
    assert path.samefile(tmp_path / "epoch-000001.pt")


def test_without_hard_links_a_kept_checkpoint_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_to_link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", fail_to_link)
    path = checkpoint.save(tmp_path, 3, {"epoch": 1, "position": 0}, keep_epochs=(1,))
    copy = tmp_path / "epoch-000001.pt"
    assert copy.read_bytes() == path.read_bytes() and not copy.samefile(path)
    assert names(tmp_path) == ["epoch-000001.pt", path.name]


def test_which_checkpoints_are_kept_does_not_change_the_study_key(tmp_path: Path) -> None:
    cells = (Cell("bp", CONFIG),)
    assert Study("s", "?", cells, (0,), keep="all").key == Study("s", "?", cells, (0,)).key


def test_the_chosen_epochs_are_sent_to_workers_as_text() -> None:
    job = Job.from_text(Job("key", CONFIG, replace(CPU, keep=(0, 2))).to_text())
    assert [checkpoint.is_kept(job.placement.keep, epoch) for epoch in range(4)] == [True, False, True, False]


def test_a_notice_reports_checkpoints_that_finished_runs_did_not_keep(tmp_path: Path) -> None:
    study = kept_study(tmp_path, keep=(1,), seeds=(0,))
    keys = [run.key for run in read_all(tmp_path)]
    assert (
        missing_checkpoints_notice(tmp_path, keys, "last") == missing_checkpoints_notice(tmp_path, keys, (1, 2)) == ""
    )
    line = missing_checkpoints_notice(tmp_path, keys, "all")
    assert line.startswith("2 runs have already trained past epochs (0) whose checkpoints you now want to keep")
    messages: list[str] = []
    placement = Placement(store=str(tmp_path), device="cpu", keep=(0,))
    assert train_one(study.cells[0].config, placement, messages.append) == 0
    assert (
        messages[0].startswith("1 run has already trained past epochs")
        and "has already finished" in messages[1]
        and len(messages) == 2
    )


def test_the_plan_shows_the_number_and_size_of_kept_checkpoints(tmp_path: Path) -> None:
    study = Study("s", "?", (Cell("kp", CONFIG),), (0, 1), keep=(0, 2))
    page = plan(study, replace(CPU, store=str(tmp_path)))
    assert "kp: 3 checkpoints per run are kept (0,2), < 0.01 GB for all its runs" in page
    assert "are kept" not in plan(study, replace(CPU, store=str(tmp_path), keep="last"))
    list(train(CONFIG, CPU, checkpoints=tmp_path))
    [path] = tmp_path.glob("step-*.pt")
    expected = _bytes(TrainingState.create(CONFIG, CPU, open_data(CONFIG.data, CPU, False)))
    assert path.stat().st_size == pytest.approx(expected, rel=0.2)


def test_a_quick_study_keeps_the_chosen_epochs_that_remain() -> None:
    long = Cell("bp", short_run("bp", epochs=10))
    assert shrink_study(Study("s", "?", (long,), (0,), keep=(0, 2, 10))).keep == (0, 2)
    assert shrink_study(Study("s", "?", (long,), (0,), keep=(10,))).keep == "last"


def test_invalid_choices_of_checkpoints_are_rejected_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert parse_keep("10,0") == (0, 10)
    with pytest.raises(ConfigError, match=r"keep is 'some': it must be 'last', 'all', or epochs such as \(0, 10, 50\)"):
        Study("s", "?", (Cell("bp", CONFIG),), (0,), keep="some")  # type: ignore[arg-type]
    for arguments, message in (
        (
            "ablate rules_on_digits --keep-checkpoints 0,x",
            "--keep-checkpoints is '0,x': it must be last, all, or",
        ),
        ("ablate rules_on_digits --keep-checkpoints 0,5000", "of epoch 5000: no run has more than"),
        ("train digits --keep-checkpoints 11", "of epoch 11: no run has more than 10 epochs"),
        ("search kolen_pollack --quick --keep-checkpoints 11", "of epoch 11: no run has more than 2 epochs"),
    ):
        assert main([*arguments.split(), "--store", str(tmp_path / "none")]) == 2
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1
