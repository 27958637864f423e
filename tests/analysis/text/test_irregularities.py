"""Irregular runs are reported, and drawn as far as possible."""

from dataclasses import replace
from pathlib import Path

from analysis.figures.alignment import alignment_chart
from analysis.figures.curves import curves_chart
from analysis.frames.study import Frames
from analysis.tables.final import final_table
from analysis.text.notes import notes
from nowt.config.run_config import RunConfig
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study
from tests.support.synthetic_frames import frames_of, text_of


def words_about(frames: Frames) -> str:
    return notes(frames, final_table(frames))


def test_an_epoch_without_an_error_is_reported_and_the_others_are_drawn(tmp_path: Path) -> None:
    frames = frames_of(tmp_path)
    hole = (frames.epochs["cell"] == "kp") & (frames.epochs["seed"] == 1) & (frames.epochs["epoch"] == 2)
    epochs = frames.epochs.assign(test_error=frames.epochs["test_error"].mask(hole))
    frames = replace(frames, epochs=epochs)
    assert "excluded from the mean: kp with seed 1 at epoch 2." in words_about(frames)
    assert "Test error" in text_of(curves_chart(frames))


def test_cells_with_different_numbers_of_epochs_are_reported_and_drawn(tmp_path: Path) -> None:
    cells = tuple(Cell(f"bp {n}", RunConfig(rule=find_rule("bp")(), epochs=n)) for n in (2, 4))
    frames = frames_of(tmp_path, Study("long", "?", cells, (0, 1, 2), "bp 2"))
    assert "each is evaluated after its own last epoch: bp 2 (2), bp 4 (4)." in words_about(frames)
    assert "bp 4" in text_of(curves_chart(frames))


def test_a_rule_without_angles_is_reported_and_omitted_from_alignment_figures(tmp_path: Path) -> None:
    frames = frames_of(tmp_path)
    frames = replace(frames, layers=frames.layers[frames.layers["cell"] != "ss"])
    assert "No angle was measured for ss;" in words_about(frames)
    assert " ss " not in text_of(alignment_chart(frames))
