"""Trials near the best, their settings, and the Pareto front."""

from pathlib import Path

import pandas as pd

from analysis.stats.trials import pareto_front, range_values, shares_near_best
from tests.support.synthetic_frames import trials_of
from tests.support.synthetic_search import search_space


def test_the_percentage_of_trials_near_the_best_matches_a_count_by_hand(tmp_path: Path) -> None:
    errors = [0.10, 0.105, 0.12, 0.2]
    states = {("bp", 3): "diverged"}
    space = search_space(["bp"])
    shares = shares_near_best(
        trials_of(tmp_path, space, 4, states=states, error=lambda cell, trial, values: errors[trial])
    )
    assert list(shares["points"].round(6)) == [0, 0.5, 2, 80]
    assert list(shares["share"]) == [25, 50, 75, 100]


def test_chosen_values_are_those_of_the_best_trials(tmp_path: Path) -> None:
    errors = [0.3, 0.1, 0.2]
    trials = trials_of(tmp_path, search_space(["wm"]), 3, error=lambda cell, trial, values: errors[trial])
    values = range_values(trials)
    rates = values[values["setting"] == "optim.lr"].set_index("rank")
    assert list(rates.loc[[1, 2, 3], "trial"]) == [1, 2, 0]
    assert rates.loc[1, "value"] == trials.frame.set_index("trial").loc[1, "optim.lr"]
    assert "rule.samples" in set(values["setting"]) and "optim.schedule" not in set(values["setting"])


def test_a_trial_is_on_the_pareto_front_unless_another_of_its_rule_dominates_it() -> None:
    points = [
        ("kp", 1.0, 9.0),
        ("kp", 1.0, 8.0),  # equal compute, lower error
        ("kp", 2.0, 8.0),  # more compute, equal error
        ("kp", 3.0, 5.0),
        ("wm", 0.5, 9.5),  # trials of another rule do not dominate these
        ("wm", 4.0, 1.0),
    ]
    shown = pd.DataFrame(points, columns=["cell", "compute", "error"])
    found = pareto_front(shown)
    assert set(found.itertuples(index=False, name=None)) == {points[i] for i in (1, 3, 4, 5)}
