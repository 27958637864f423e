"""The comparison figure and the error over costs."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.figures.alignment import alignment_chart
from analysis.figures.curves import curves_chart
from analysis.figures.error_cost import error_cost_chart
from analysis.figures.options import Options
from analysis.stats.costs import AXES
from analysis.stats.seeds import error_curves, mean_interval
from nowt.config.run_config import ModelConfig, RunConfig
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study
from tests.support.synthetic_frames import frames_of, text_of
from tests.support.synthetic_store import rules_study


def depths() -> Study:
    """Return a study of bp and kp in two networks of different depth."""
    cells = [
        Cell(f"{rule} {model}", RunConfig(rule=find_rule(rule)(), model=ModelConfig(model), epochs=2))
        for model in ("resnet20", "resnet32")
        for rule in ("bp", "kp")
    ]
    return Study("depths", "Does the gap widen?", tuple(cells), (0, 1, 2), "bp resnet20")


@pytest.mark.parametrize(
    ("against", "title"),
    [
        ("epochs", "Epoch"),
        ("presentations", "Presentations, mirror samples included (thousands)"),
        ("flops", "Training, mirror mode included (GFLOP)"),
        ("seconds", "Time in training steps (s)"),
    ],
)
def test_the_x_axis_names_the_chosen_cost_and_its_unit(tmp_path: Path, against: str, title: str) -> None:
    assert title in text_of(curves_chart(frames_of(tmp_path), Options(against)))


def test_each_model_has_a_panel_and_a_rule_has_the_same_line_in_all_panels(tmp_path: Path) -> None:
    words = text_of(curves_chart(frames_of(tmp_path, depths())))
    assert "resnet20" in words and "resnet32" in words
    legend = [word for word in words.split() if word in ("bp", "kp")]
    assert legend.count("kp") == 1 + 2  # in the legend, and beside each net's seeds


def test_published_curves_are_marked_as_such_with_their_band_and_source(tmp_path: Path) -> None:
    frames = frames_of(tmp_path)
    words = text_of(curves_chart(frames, Options(published=True)))
    for text in ("bp, published", "ResNet-18, published", "ResNet-50, published", "±1 point", "2,048 images"):
        assert text in words
    assert "published" not in text_of(curves_chart(frames))
    angles = text_of(alignment_chart(frames, Options(published=True)))
    assert "wm, published: ResNet-50 on ImageNet" in angles and "Akrout" in angles


def test_published_curves_are_overlaid_on_the_same_network_trained_on_imagenet(tmp_path: Path) -> None:
    config = RunConfig(rule=find_rule("bp")(), model=ModelConfig("resnet18"), epochs=2)
    config = replace(config, data=replace(config.data, name="imagenet", size=64, noise=0.0, augment="none"))
    study = Study("net", "?", (Cell("bp", config),), (0,))
    words = text_of(curves_chart(frames_of(tmp_path, study), Options(published=True)))
    assert "ResNet-18, published" not in words and "ResNet-50, published" in words


def test_error_against_cost_has_a_panel_for_each_unit(tmp_path: Path) -> None:
    words = text_of(error_cost_chart(frames_of(tmp_path)))
    assert all(unit in words for unit in ("(thousands)", "(GFLOP)", "(s)", "Test error (%"))
    assert {"epochs", "presentations", "flops", "seconds"} == set(AXES)


def test_the_curves_show_the_mean_of_the_logged_errors(tmp_path: Path) -> None:
    """Compare the curves with a plain group-by."""
    frames = frames_of(tmp_path)
    means = mean_interval(error_curves(frames, "test"), ["cell", "epoch"], "error").set_index(["cell", "epoch"])["mean"]
    plain = frames.epochs.groupby(["cell", "epoch"])["test_error"].mean()
    pd.testing.assert_series_equal(means.sort_index(), plain.sort_index(), check_names=False)


def test_curves_of_runs_that_score_their_test_images_last_name_both_errors(tmp_path: Path) -> None:
    study = rules_study(names=("bp", "kp"), epochs=3)
    cells = tuple(replace(cell, config=replace(cell.config, test="last")) for cell in study.cells)
    words = text_of(curves_chart(frames_of(tmp_path, replace(study, cells=cells))))
    assert "Validation error by epoch" in words and "Test error after the last epoch" in words
    assert "test images are scored after the last epoch only" in words
