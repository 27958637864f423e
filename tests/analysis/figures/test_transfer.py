"""Settings transferred from a search, compared with the target's recipe."""

from dataclasses import replace
from pathlib import Path

from analysis.figures.transfer import transfer_chart
from analysis.stats.transfer import transferred_errors
from nowt.config.run_config import RunConfig
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study
from tests.support.synthetic_frames import frames_of, text_of


def carried() -> Study:
    """Return a study like that of ``nowt transfer``: the target's recipe, and two settings from a search."""
    base = RunConfig(rule=find_rule("kp")(), epochs=2)
    cells = [
        Cell(name, replace(base, batch=10 + i)) for i, name in enumerate(("kp recipe", "kp trial 7", "kp trial 3"))
    ]
    return Study("tuned_on_digits", "Do they carry over?", tuple(cells), (0, 1), "kp recipe")


def test_transferred_settings_are_compared_with_the_targets_recipe_by_rank(tmp_path: Path) -> None:
    errors = {"kp recipe": 0.10, "kp trial 7": 0.08, "kp trial 3": 0.2}
    frames = frames_of(tmp_path, carried(), error=lambda cell, seed, epoch: errors[cell])
    found = transferred_errors(frames).set_index("cell")
    assert list(found["rank"]) == ["best", "second"]
    assert list(found["mean"].round(6)) == [8, 20]
    assert list(found["own"].round(6)) == [10, 10]
    assert "error with the target's recipe (%)" in text_of(transfer_chart(frames))


def test_other_studies_have_no_transfer_figure(tmp_path: Path) -> None:
    assert transfer_chart(frames_of(tmp_path)) is None
