"""The variance of the error, split by its sources."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.stats.chance import Chance
from analysis.stats.seeds import error_curves, final_errors
from analysis.stats.variance import DRAWS, REST, TOTAL, _Measured, variance_split
from analysis.text.variance import variance_in_words
from nowt.config.recipes import digits
from nowt.core.seeding import Seeds
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study
from searchspaces import seed_sources
from tests.support.synthetic_frames import frames_with, one_epoch

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


def test_variance_is_split_by_its_source_with_the_chi_square_interval(split: pd.DataFrame) -> None:
    by_source = split.set_index("source")
    assert list(by_source.index) == ["start of W", "start of B", "order of pictures", "augmentation", REST, TOTAL]
    start = by_source.loc["start of W"]
    assert start["deviation"] == pytest.approx(1.2, rel=0.4)
    assert start["low"] < 1.2 < start["high"]
    expected = start["deviation"] * np.sqrt(19 / stats.chi2.ppf([0.975, 0.025], 19))
    assert (start["low"], start["high"]) == pytest.approx(tuple(expected), rel=0.02)
    assert by_source.loc["start of B", "deviation"] == pytest.approx(0, abs=1e-9)
    assert start["share"] > 0.5
    assert "kp: the largest source of variance is the initialization of W" in variance_in_words(split, Chance())[0]


def test_a_source_that_is_only_pinned_is_measured_as_a_difference(tmp_path: Path) -> None:
    config = replace(digits(find_rule("kp")()), epochs=1)
    cells = (Cell("all", config), Cell("W pinned", replace(config, seeds=Seeds(weights=1000))))
    study = Study("pinned", "What does the start of W do?", cells, tuple(range(20)), reference="all")
    frames = frames_with(tmp_path, study, seeded(study))
    final = final_errors(error_curves(frames, "test")).assign(error=lambda rows: 100 * rows["error"])
    variances = final.groupby("cell")["error"].var()
    found = variance_split(frames).set_index("source")
    assert found.loc["start of W", "deviation"] == pytest.approx((variances["all"] - variances["W pinned"]) ** 0.5)
    assert found.loc["start of W", "low"] < 1.2 < found.loc["start of W", "high"]
    assert list(found.index) == ["start of W", TOTAL]


def test_the_interval_of_a_difference_of_variances_has_95_percent_coverage() -> None:
    chance = np.random.default_rng(0)
    hits, studies, n = 0, 400, 6
    for _ in range(studies):
        total, part = (
            _Measured("", n, s2, s2 * (n - 1) / chance.chisquare(n - 1, DRAWS // 10))
            for s2 in (variance * chance.chisquare(n - 1) / (n - 1) for variance in (3.0, 1.0))
        )
        low, high = np.quantile(total.draws - part.draws, [0.025, 0.975])
        hits += low <= 2.0 <= high
    assert hits / studies == pytest.approx(0.95, abs=0.02)


def test_components_that_exceed_the_total_are_reported_as_not_additive(tmp_path: Path) -> None:
    study = one_epoch(seed_sources.study(), 8)
    study = replace(study, cells=tuple(cell for cell in study.cells if cell.name.startswith("bp")))

    def error(cell: str, seed: int, epoch: int) -> float:
        return 0.5 + (0.1 if "alone" in cell else 0.001) * random.Random(f"{cell} {seed}").gauss(0, 1)

    split = variance_split(frames_with(tmp_path, study, error))
    assert REST not in set(split["source"])
    assert split["share"].isna().all()
    assert "not additive" in variance_in_words(split, Chance())[0]
