"""The table of a search."""

from pathlib import Path

import pytest

from analysis.tables.search import SEARCH_TABLE, search_markdown, search_table
from tests.support.synthetic_frames import trials_in
from tests.support.synthetic_search import search_space, write_search


def test_counts_percentages_and_costs_match_a_calculation_by_hand(tmp_path: Path) -> None:
    errors = [0.100, 0.105, 0.110, 0.119, 0.150, 0.400, 0.01, 0.02]
    states = {("wm", 5): "diverged", ("wm", 6): "failed", ("wm", 7): "stopped"}
    write_search(tmp_path, search_space(["wm"]), 8, states=states, error=lambda cell, trial, values: errors[trial])
    table = search_table(trials_in(tmp_path))
    assert list(table.columns) == list(SEARCH_TABLE)
    row = table.iloc[0]
    assert row[["trials", "complete", "stopped", "diverged", "failed", "unfinished"]].tolist() == [8, 5, 1, 1, 1, 0]
    assert (row["best_error_percent"], row["best_trial"]) == (pytest.approx(10), 0)
    near = [row[f"within_{points}_percent"] for points in (1, 2, 5)]
    assert near == pytest.approx([100 * 3 / 6, 100 * 4 / 6, 100 * 5 / 6])
    assert row["presentations"] == 5 * 330 + 3 * 110
    assert row["seconds"] == 5 * 18 + 3 * 6
    lr = trials_in(tmp_path).frame["optim.lr"][0]
    assert row["best_values"].startswith(f"optim.lr {lr:.3g}; ")


def test_the_best_trial_of_a_cell_that_never_learned_is_at_chance(tmp_path: Path) -> None:
    errors = {"bp": 0.2, "wm": 0.89}
    write_search(tmp_path, search_space(), 3, error=lambda cell, trial, values: errors[cell] + 0.001 * trial)
    trials = trials_in(tmp_path)
    bp, wm = search_markdown(search_table(trials), trials).splitlines()[-2:]
    assert wm.startswith("- wm, trial 0 (") and wm.endswith(" (at chance: no trial of this cell learned)")
    assert bp.startswith("- bp, trial 0 (") and "chance" not in bp
