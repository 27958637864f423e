"""Costs of runs by epoch."""

from pathlib import Path

import pytest

from analysis.stats.costs import with_cost
from analysis.stats.seeds import error_curves, mean_interval
from tests.support.synthetic_frames import frames_of
from tests.support.synthetic_store import rules_study


def test_presentations_include_mirror_samples_and_are_extrapolated_for_diverged_runs(tmp_path: Path) -> None:
    gone = {("fa", seed): 1 for seed in range(3)}
    frames = frames_of(tmp_path, rules_study(names=["bp", "fa", "wm"], epochs=3), diverged=gone)
    means = mean_interval(error_curves(frames, "test"), ["cell", "epoch"], "error")
    costs = with_cost(means, frames, "presentations").set_index(["cell", "epoch"])["cost"]
    assert [costs["bp", epoch] for epoch in range(4)] == [0, 6400, 12800, 19200]
    assert costs["wm", 3] == 3 * (6400 + 640)
    assert costs["fa", 3] == pytest.approx(19200)  # of which it ran one epoch
