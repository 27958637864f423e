"""Which checkpoints a run keeps: the last, all, or those of chosen epochs, through interruptions, and what is told."""

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

DEVICE = torch.device("cpu")

CONFIG = short_run("kp", epochs=3)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def epochs(*numbers: int) -> list[str]:
    return [f"epoch-{number:06d}.pt" for number in numbers]


@pytest.mark.parametrize(
    ("keep", "there"),
    [(None, []), ("last", []), ("all", epochs(0, 1, 2, 3)), ((0, 2), epochs(0, 2)), ([1], epochs(1))],
)
def test_the_chosen_epochs_stay_beside_the_last(keep: Keep | None, there: list[str], tmp_path: Path) -> None:
    list(train(CONFIG, replace(CPU, keep=keep, checkpoint_seconds=0), checkpoints=tmp_path))
    assert names(tmp_path) == [*there, f"step-{3 * STEPS:09d}.pt"]
    for epoch, path in checkpoint.kept_checkpoints(tmp_path, last=3).items():
        state = checkpoint.read(path, DEVICE)
        assert (state["epoch"], state["position"], state["step"]) == (epoch, 0, epoch * STEPS)


@pytest.mark.parametrize("steps", [1, STEPS, STEPS + 2])
def test_a_run_stopped_on_its_way_keeps_the_same_ones(steps: int, tmp_path: Path) -> None:
    keeping = replace(CPU, keep="all")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    list(train(CONFIG, keeping, checkpoints=whole))
    with pytest.raises(TrainingInterrupted):
        list(train(CONFIG, keeping, checkpoints=stopped, should_stop=after(steps)))
    list(train(CONFIG, keeping, checkpoints=stopped))
    assert names(stopped) == names(whole)
    for name in epochs(0, 1, 2, 3):
        found, expected = (checkpoint.read(folder / name, DEVICE)["model"] for folder in (stopped, whole))
        assert_equal(found, expected)


def test_one_that_was_kept_when_the_machine_failed_is_written_again(tmp_path: Path) -> None:
    state = {"epoch": 1, "position": 0, "w": torch.ones(2)}
    (tmp_path / "epoch-000001.pt").write_bytes(b"of an attempt before")
    checkpoint.save(tmp_path, 3, state, keep_epochs="all")
    assert checkpoint.read(tmp_path / "epoch-000001.pt", DEVICE)["epoch"] == 1
    assert names(tmp_path) == ["epoch-000001.pt", "step-000000003.pt"]


def test_a_second_name_takes_no_room_on_the_disk(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 3, {"epoch": 1, "position": 0}, keep_epochs=(1,))
    assert path.samefile(tmp_path / "epoch-000001.pt")


def test_where_a_file_cannot_have_two_names_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = checkpoint.save(tmp_path, 3, {"epoch": 1, "position": 0}, keep_epochs=(1,))
    copy = tmp_path / "epoch-000001.pt"
    assert copy.read_bytes() == path.read_bytes() and not copy.samefile(path)
    assert names(tmp_path) == ["epoch-000001.pt", path.name]


def test_what_is_kept_does_not_change_the_runs_or_the_studys_key(tmp_path: Path) -> None:
    cells = (Cell("bp", CONFIG),)
    assert Study("s", "?", cells, (0,), keep="all").key == Study("s", "?", cells, (0,)).key


def test_it_travels_to_a_worker_as_text() -> None:
    job = Job.from_text(Job("key", CONFIG, replace(CPU, keep=(0, 2))).to_text())
    assert [checkpoint.is_kept(job.placement.keep, epoch) for epoch in range(4)] == [True, False, True, False]


def test_a_finished_run_cannot_bring_checkpoints_back_and_says_so(tmp_path: Path) -> None:
    study = kept_study(tmp_path, keep=(1,), seeds=(0,))
    keys = [run.key for run in read_all(tmp_path)]
    assert (
        missing_checkpoints_notice(tmp_path, keys, "last") == missing_checkpoints_notice(tmp_path, keys, (1, 2)) == ""
    )
    line = missing_checkpoints_notice(tmp_path, keys, "all")
    assert line.startswith("2 runs have already trained past epochs (0) whose checkpoints you now want to keep")
    said: list[str] = []
    placement = Placement(store=str(tmp_path), device="cpu", keep=(0,))
    assert train_one(study.cells[0].config, placement, said.append) == 0
    assert (
        said[0].startswith("1 run has already trained past epochs")
        and "has already finished" in said[1]
        and len(said) == 2
    )


def test_the_plan_counts_them_and_a_checkpoint_is_as_large_as_it_says(tmp_path: Path) -> None:
    study = Study("s", "?", (Cell("kp", CONFIG),), (0, 1), keep=(0, 2))
    page = plan(study, replace(CPU, store=str(tmp_path)))
    assert "kp: 3 checkpoints per run are kept (0,2), < 0.01 GB for all its runs" in page
    assert "are kept" not in plan(study, replace(CPU, store=str(tmp_path), keep="last"))
    list(train(CONFIG, CPU, checkpoints=tmp_path))
    [path] = tmp_path.glob("step-*.pt")
    expected = _bytes(TrainingState.create(CONFIG, CPU, open_data(CONFIG.data, CPU, False)))
    assert path.stat().st_size == pytest.approx(expected, rel=0.2)


def test_quick_keeps_what_is_left_of_them() -> None:
    long = Cell("bp", short_run("bp", epochs=10))
    assert shrink_study(Study("s", "?", (long,), (0,), keep=(0, 2, 10))).keep == (0, 2)
    assert shrink_study(Study("s", "?", (long,), (0,), keep=(10,))).keep == "last"


def test_what_cannot_be_kept_is_refused_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert parse_keep("10,0") == (0, 10)
    with pytest.raises(ConfigError, match=r"keep is 'some': it must be 'last', 'all', or epochs such as \(0, 10, 50\)"):
        Study("s", "?", (Cell("bp", CONFIG),), (0,), keep="some")  # type: ignore[arg-type]
    for words, told in (
        (
            "ablate rules_on_digits --keep-checkpoints 0,x",
            "--keep-checkpoints is '0,x': it must be last, all, or",
        ),
        ("ablate rules_on_digits --keep-checkpoints 0,5000", "of epoch 5000: no run has more than"),
        ("train digits --keep-checkpoints 11", "of epoch 11: no run has more than 10 epochs"),
        ("search kolen_pollack --quick --keep-checkpoints 11", "of epoch 11: no run has more than 2 epochs"),
    ):
        assert main([*words.split(), "--store", str(tmp_path / "none")]) == 2
        err = capsys.readouterr().err
        assert told in err and err.count("\n") == 1
