"""The Pareto front of a search in error and compute."""

import pandas as pd

from analysis.stats.trials import pareto_front


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
