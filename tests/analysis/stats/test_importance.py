"""The importance of settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.figures.importance import importance_chart
from analysis.stats.importance import importances
from analysis.text.search import search_notes
from nowt.studies.search.params import Range
from tests.support.synthetic_frames import trials_in
from tests.support.synthetic_search import search_space, write_search

RATE = Range("optim.lr", 0.005, 0.5, log=True)


def test_the_setting_that_determines_the_error_is_the_most_important(tmp_path: Path) -> None:
    write_search(tmp_path, trials=30)
    shares = importances(trials_in(tmp_path))
    for cell in ("bp", "wm"):
        here = shares[shares["cell"] == cell]
        assert here["setting"].iloc[0] == "optim.lr"
        assert here["importance"].iloc[0] > 0.6
        assert set(here["n"]) == {30}
        assert "optim.milestones" not in set(here["setting"])  # not every trial had them
    pd.testing.assert_frame_equal(shares, importances(trials_in(tmp_path)))


def test_a_log_scaled_range_is_weighted_on_the_log_scale(tmp_path: Path) -> None:
    """Half of the draws are below 0.05, where the error falls; on a linear scale they would be a tenth."""
    space = search_space(["bp"], [RATE, Range("optim.momentum", 0.0, 0.9)])

    def error(cell: str, trial: int, values: Mapping[str, Any]) -> float:
        return (0.2 if values["optim.lr"] < 0.05 else 0.1) + 0.1 * (values["optim.momentum"] > 0.45)

    write_search(tmp_path, space, 60, error=error)
    shares = importances(trials_in(tmp_path)).set_index("setting")["importance"]
    assert shares["optim.lr"] == pytest.approx(0.5, abs=0.05)


def test_with_few_trials_there_is_no_importance_and_the_text_says_so(tmp_path: Path) -> None:
    write_search(tmp_path, trials=10, states={("wm", 0): "failed"})
    trials = trials_in(tmp_path)
    assert set(importances(trials)["cell"]) == {"bp"}
    assert "No importances for wm: at least 10 finished or diverged trials" in search_notes(trials)


def test_trials_with_equal_errors_have_no_importance(tmp_path: Path) -> None:
    write_search(tmp_path, error=lambda cell, trial, values: 0.9)
    assert importance_chart(trials_in(tmp_path)) is None
