"""Runs whose result may mislead are named in the report, in nowt show, in MLflow and in the methods paragraph."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.figures.curves import curves_chart
from analysis.frames.study import Frames
from analysis.stats.paired import compare_cells
from analysis.tables.final import final_table
from analysis.text.irregularities import irregularities
from analysis.text.methods import methods
from analysis.text.notes import notes
from analysis.text.search import search_notes
from nowt.cli.main import main
from nowt.store.chance import Score
from nowt.store.outcome import Outcome, run_marks, run_warnings
from nowt.store.records import NAN, Layer
from nowt.store.run_log import read_all
from nowt.tracking.projection import describe_run
from tests.support.synthetic_frames import frames_of, text_of, trials_of
from tests.support.synthetic_store import CHANCE, rules_study, write_store

STUDY = rules_study(names=["bp", "fa", "kp"], epochs=3)


def error(cell: str, seed: int, epoch: int) -> float:
    """The error of fa with seed 1 stays at chance."""
    return CHANCE if (cell, seed) == ("fa", 1) or epoch == 0 else 0.2


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    return frames_of(tmp_path, STUDY, error=error)


def test_a_layer_without_a_finite_signal_is_named_and_a_healthy_run_is_not() -> None:
    layers = [Layer("a", 0, 80.0, NAN, 1.0), Layer("b", 1, NAN, 70.0, 0.0), Layer("c", 2, NAN, 0.0, 1.0)]
    healthy = Outcome(Score(0.2, 10), 2.3, 0.5, layers[2:])
    assert list(healthy.warnings()) == []
    [warning] = replace(healthy, layers=layers).warnings()
    assert warning.text == "2 of 3 layers without a finite error signal or without feedback: layers 'a', 'b'"


def test_a_layer_whose_error_passes_through_no_matrix_of_the_shape_of_w_is_healthy() -> None:
    layers = [Layer("a", 0, NAN, 70.0, NAN), Layer("b", 1, NAN, 60.0, NAN)]
    assert list(Outcome(Score(0.2, 10), 2.3, 0.5, layers).warnings()) == []


def test_a_loss_above_its_start_is_named() -> None:
    [warning] = Outcome(Score(0.2, 10), 2.3, 3.1).warnings()
    assert warning.text == "validation loss rose from 2.3 before learning to 3.1"
    [slight] = Outcome(Score(0.2, 10), 2.3201, 2.3204).warnings()
    assert slight.text == "validation loss rose from 2.3201 before learning to 2.3204"


def test_a_run_at_chance_is_named_in_the_notes_and_in_the_methods(frames: Frames) -> None:
    assert "fa with seed 1 (ended at chance (test error 90.0 %)" in notes(frames, final_table(frames))
    text = methods(frames, compare_cells(frames, None), None)
    assert "A run finished with a warning: fa (1 of 3: at chance)." in text


def test_a_run_at_chance_is_named_in_mlflow_and_in_nowt_show(
    frames: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warned = [run for run in read_all(tmp_path) if run_warnings(run)]
    assert [(run.start["config"]["rule"]["name"], run.start["config"]["seed"]) for run in warned] == [("fa", 1)]
    assert describe_run(warned[0], None, "fa", 1).tags["warning"].startswith("ended at chance (test error 90.0 %)")
    assert main(["show", warned[0].key, "--store", str(tmp_path)]) == 0
    assert "warning: ended at chance (test error 90.0 %)" in capsys.readouterr().out


def test_one_image_above_the_limit_does_not_remove_every_warning(tmp_path: Path) -> None:
    write_store(tmp_path, STUDY, error=lambda *_: 13 / 16, images={"validation": 1000, "test": 16})
    phrase = "too few images to tell from chance (test error 81.2 % of 16 images)"
    runs = list(read_all(tmp_path))
    assert [run_warnings(run)[0] for run in runs] == [phrase] * 9
    assert [run_marks(run)[0] for run in runs] == ["too few images"] * 9


def test_the_methods_name_a_cell_once_with_the_kinds_of_its_warnings(tmp_path: Path) -> None:
    def rising(cell: str, seed: int, epoch: int) -> float:
        return CHANCE + 0.02 * epoch if cell != "bp" else 0.8 - 0.2 * epoch

    frames = frames_of(tmp_path, STUDY, error=rising, images={"validation": 1000, "test": 1000})
    text = methods(frames, compare_cells(frames, None), None)
    cells = "fa (3 of 3: at chance, loss rose), kp (3 of 3: at chance, loss rose)"
    assert f"6 runs finished with a warning: {cells}." in text
    assert "fa with seed 2 (ended at chance (test error 96.0 %), validation loss rose from" in " ".join(
        irregularities(frames)
    )


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
