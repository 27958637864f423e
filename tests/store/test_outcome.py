"""Runs whose result may mislead are named in the report, in nowt show, in MLflow and in the methods paragraph."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.figures.curves import curves_chart
from analysis.frames.study import Frames
from analysis.stats.paired import compare_cells
from analysis.tables.final import final_table
from analysis.text.methods import methods
from analysis.text.notes import notes
from analysis.text.search import search_notes
from nowt.cli.main import main
from nowt.store.outcome import Outcome, is_at_chance, run_warnings
from nowt.store.records import NAN, Layer
from nowt.store.run_log import read_all
from nowt.tracking.projection import describe_run
from tests.support.synthetic_frames import frames_of, text_of, trials_of
from tests.support.synthetic_store import CHANCE, rules_study

STUDY = rules_study(names=["bp", "fa", "kp"], epochs=3)


def error(cell: str, seed: int, epoch: int) -> float:
    """The error of fa with seed 1 stays at chance."""
    return CHANCE if (cell, seed) == ("fa", 1) or epoch == 0 else 0.2


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    return frames_of(tmp_path, STUDY, error=error)


@pytest.mark.parametrize(
    ("wrong", "classes", "at_chance"),
    [(0.9, 10, True), (0.86, 10, True), (0.84, 10, False), (0.5, 2, True), (0.4, 2, False), (0.9897, 1000, False)],
)
def test_an_error_about_that_of_guessing_is_at_chance(wrong: float, classes: int, at_chance: bool) -> None:
    assert is_at_chance(wrong, classes) == at_chance


def test_a_layer_without_a_finite_signal_is_named_and_a_healthy_run_is_not() -> None:
    layers = [Layer("a", 0, 80.0, NAN, 1.0), Layer("b", 1, NAN, 70.0, 0.0), Layer("c", 2, NAN, 0.0, 1.0)]
    healthy = Outcome(10, 2.3, 0.5, 0.2, layers[2:])
    assert healthy.warnings() == []
    [warning] = replace(healthy, layers=layers).warnings()
    assert warning == "2 of 3 layers without a finite error signal or without feedback: layers 'a', 'b'"


def test_a_loss_above_its_start_is_named() -> None:
    [warning] = Outcome(10, 2.3, 3.1, 0.2).warnings()
    assert warning == "validation loss rose from 2.3 before learning to 3.1"


def test_a_run_at_chance_is_named_in_the_notes_and_in_the_methods(frames: Frames) -> None:
    sentence = "fa with seed 1 (ended at chance (validation error"
    assert sentence in notes(frames, final_table(frames))
    text = methods(frames, compare_cells(frames, None), None)
    assert sentence in text and "fa with seed 0" not in text


def test_a_run_at_chance_is_named_in_mlflow_and_in_nowt_show(
    frames: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warned = [run for run in read_all(tmp_path) if run_warnings(run)]
    assert [(run.start["config"]["rule"]["name"], run.start["config"]["seed"]) for run in warned] == [("fa", 1)]
    assert describe_run(warned[0], None, "fa", 1).tags["warning"].startswith("ended at chance")
    assert main(["show", warned[0].key, "--store", str(tmp_path)]) == 0
    assert "warning: ended at chance" in capsys.readouterr().out


def test_trials_at_chance_are_named_in_the_report_of_a_search(tmp_path: Path) -> None:
    trials = trials_of(tmp_path, error=lambda cell, trial, values: 0.89 if (cell, trial) == ("wm", 3) else 0.2)
    assert "Trials that finished at chance: 1 (wm, trial 3)." in search_notes(trials)


def test_a_cell_with_a_run_without_an_angle_is_named_in_the_notes(frames: Frames) -> None:
    table = final_table(frames)
    assert "undefined for" not in notes(frames, table)
    table.loc[table["cell"] == "kp", "matrix_angle_degrees"] = NAN
    assert "mean over finished runs; undefined for kp, because" in notes(frames, table)


def test_the_curves_have_a_line_at_chance(frames: Frames) -> None:
    assert "dotted gray: chance" in text_of(curves_chart(frames))
