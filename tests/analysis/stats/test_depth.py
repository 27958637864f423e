"""Gaps to backprop by depth."""

from pathlib import Path

from analysis.stats.depth import depth_gaps
from nowt.config.run_config import ModelConfig, RunConfig
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study
from tests.support.synthetic_frames import frames_of


def depths() -> Study:
    """Return a study of bp and kp in two networks of different depth."""
    cells = [
        Cell(f"{rule} {model}", RunConfig(rule=find_rule(rule)(), model=ModelConfig(model), epochs=2))
        for model in ("resnet20", "resnet32")
        for rule in ("bp", "kp")
    ]
    return Study("depths", "Does the gap widen?", tuple(cells), (0, 1, 2), "bp resnet20")


def test_the_gap_by_depth_is_relative_to_backprop_in_the_same_network(tmp_path: Path) -> None:
    errors = {"bp resnet20": 0.1, "kp resnet20": 0.11, "bp resnet32": 0.05, "kp resnet32": 0.09}
    gaps = depth_gaps(frames_of(tmp_path, depths(), error=lambda cell, seed, epoch: errors[cell] + 0.01 * seed))
    found = gaps.set_index("depth")[["mean", "low", "high"]].round(6)
    assert found["mean"].tolist() == [1, 4]
    assert found[["low", "high"]].isna().all(axis=None)  # the gaps of all seeds are the same


def test_a_study_of_one_depth_has_no_gap_by_depth(tmp_path: Path) -> None:
    assert depth_gaps(frames_of(tmp_path)).empty
