"""Tuning curves and their confidence bands."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.frames.searches import SearchPlan
from analysis.frames.store.trial_rows import TRIALS
from analysis.frames.trials import Trials
from analysis.report.study import report
from analysis.stats.tuning import tuning_curves
from analysis.text.search import search_notes
from nowt.studies.search.space import Budget
from tests.support.synthetic_frames import svg_text, trials_in
from tests.support.synthetic_search import search_space, write_search


def with_errors(errors: Mapping[str, list[float]], states: Mapping[tuple[str, int], str] | None = None) -> Trials:
    """Trials of a search by random draws that reached these errors, by cell."""
    cells = {cell: {"rule": {"name": cell}, "epochs": 3} for cell in errors}
    plan = SearchPlan("s", "s-1", "?", 1, "random", "none", "12 trials", cells, dict.fromkeys(errors, ()), ())
    rows = [
        {"run": f"{cell}{i}", "cell": cell, "rule": cell, "trial": i, "reason": "", "error": error, "epochs": 3}
        | {"state": (states or {}).get((cell, i), "finished"), "presentations": 10.0, "flops": 1.0, "seconds": 60.0}
        for cell, reached in errors.items()
        for i, error in enumerate(reached)
    ]
    return Trials(plan, pd.DataFrame(rows)[list(TRIALS)])


def test_the_tuning_curve_is_the_median_best_of_n_resampled_draws() -> None:
    generator = np.random.default_rng(0)
    errors = generator.uniform(0.05, 0.9, 13)
    curve = tuning_curves(with_errors({"kp": list(errors)})).set_index("trials")
    for n in range(1, 14):
        best = generator.choice(errors, (20_000, n)).min(axis=1)
        assert curve["error"][n] == np.quantile(best, 0.5, method="inverted_cdf")


def test_the_band_covers_the_true_curve_simultaneously_in_95_percent_of_searches() -> None:
    generator = np.random.default_rng(1)
    searches = {f"{i}": list(generator.uniform(size=12)) for i in range(400)}
    curves = tuning_curves(with_errors(searches))
    truth = 1 - 0.5 ** (1 / curves["trials"])  # median of the least of n uniform draws
    held = (curves["low"] <= truth) & (truth <= curves["high"])
    assert 0.92 < held.groupby(curves["cell"]).all().mean() <= 0.98


def test_diverged_trials_count_with_chance_error_and_ties_are_harmless() -> None:
    states = {("fa", i): "diverged" for i in range(3)} | {("fa", 5): "failed"}
    curve = tuning_curves(with_errors({"fa": [0.9, 0.9, 0.9, 0.2, 0.3, 0.01]}, states))
    assert list(curve["trials"]) == [1, 2, 3, 4, 5]
    assert list(curve["error"]) == [0.9, 0.3, 0.3, 0.2, 0.2]
    assert (curve["low"] <= curve["error"]).all() and (curve["error"] <= curve["high"]).all()


@pytest.mark.parametrize(("sampler", "stopping"), [("tpe", "none"), ("random", "halving")])
def test_dependent_trials_have_the_best_error_so_far_and_no_band(tmp_path: Path, sampler: Any, stopping: Any) -> None:
    errors = [0.5, 0.1, 0.6, 0.3, 0.4, 0.2]
    space = search_space(["bp"], sampler=sampler, stopping=stopping)
    states = {("bp", 1): "stopped", ("bp", 4): "failed"}
    write_search(tmp_path, space, 6, states=states, error=lambda cell, trial, values: errors[trial])
    curve = tuning_curves(trials_in(tmp_path))
    assert list(curve["trials"]) == [1, 2, 3, 4, 5]
    assert list(curve["error"]) == [0.5, 0.5, 0.5, 0.3, 0.2]  # the stopped one is spent, the failed one is not
    assert curve[["low", "high"]].isna().all(axis=None)


def test_the_curve_is_drawn_over_the_unit_of_the_budget(tmp_path: Path) -> None:
    errors = [0.4, 0.3, 0.2, 0.1]
    dear = with_errors({"bp": errors, "wm": errors})
    dear.frame.loc[dear.frame["cell"] == "wm", "presentations"] = [20.0, 40.0, 20.0, 40.0]
    by_cost = replace(dear, plan=replace(dear.plan, budget="100 presentations"))
    spent = {name: list(curve["spent"]) for name, curve in tuning_curves(by_cost).groupby("cell")}
    assert spent == {"bp": [10, 20, 30, 40], "wm": [30, 60, 90, 120]}
    halved = replace(by_cost, plan=replace(by_cost.plan, stopping="halving"))
    assert list(tuning_curves(halved).query("cell == 'wm'")["spent"]) == [20, 60, 80, 120]
    assert list(tuning_curves(dear)["spent"]) == list(tuning_curves(dear)["trials"])
    assert "The bands treat the number of trials as fixed" in search_notes(by_cost)
    write_search(tmp_path, replace(search_space(), budget=Budget(2000, "presentations")))
    report(tmp_path, "tuned", tmp_path / "figures")
    assert "Presentations (log scale)" in svg_text(tmp_path / "figures" / "tuning.svg")
