"""What the forest plot and the variance figure show."""

import random
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from analysis.figures.forest import effects_caption, forest_chart
from analysis.figures.variance import variance_chart
from analysis.frames.study import Frames
from analysis.stats.effects import effects
from analysis.stats.variance import variance_split
from nowt.studies.study import Study
from searchspaces import seed_sources
from tests.support.synthetic_frames import frames_with, one_epoch, text_of


def test_the_forest_plot_names_factors_cells_unit_and_margin(last_layers: Frames) -> None:
    text = text_of(forest_chart(effects(last_layers), "test", 1.0))
    for words in ("rule, against bp", "rule.last_layer: rule → backprop", "fa, last layer bp", "mean of 2"):
        assert words in text
    for words in (
        "Change in error relative to the cell after “against” (points)",
        "fa, last layer bp, against fa",
        "5 seeds",
        "95 % t interval",
        "margin of 1 point;",
    ):
        assert words in text


def test_the_forest_plot_names_the_one_reference_in_axis_title_and_caption(five_rules: Frames) -> None:
    found = effects(five_rules)
    text = text_of(forest_chart(found, "test", None))
    assert "Change in error relative to bp (points)" in text and "Effects on the test error relative to bp" in text
    assert effects_caption(found) == "Effects on the error relative to bp"


SPREAD = {"weights": 0.012, "feedback": 0.0, "order": 0.004, "crops": 0.0, "noise": 0.0}  # deviations of the error


def seeded(study: Study) -> Any:
    """The error that a run's seeds make: a normal draw for each purpose, all added up."""
    configs = {cell.name: cell.config for cell in study.cells}

    def error(cell: str, seed: int, epoch: int) -> float:
        drawn = vars(configs[cell].seeds.resolve(seed))
        return 0.2 + sum(random.Random(f"{name} {value}").gauss(0, SPREAD[name]) for name, value in drawn.items())

    return error


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The sources of variance of kp's synthetic errors, on 20 seeds."""
    study = one_epoch(seed_sources.study(), 20)
    study = replace(study, cells=tuple(cell for cell in study.cells if cell.name.startswith("kp")), reference="kp")
    return variance_split(frames_with(tmp_path_factory.mktemp("sources"), study, seeded(study)))


def test_the_variance_figure_names_sources_rule_and_unit(split: pd.DataFrame) -> None:
    text = text_of(variance_chart(split, "test"))
    assert all(words in text for words in ("data order", "total", "kp", "(points)", "20 seeds"))
