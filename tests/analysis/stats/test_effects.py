"""Effects of factors, compared with plain pandas and scipy."""

import pytest
from scipy import stats

from analysis.frames.study import Frames
from analysis.stats.effects import effects
from analysis.stats.seeds import error_curves, final_errors


def test_effects_match_plain_pandas_and_their_mean_is_computed_per_seed(last_layers: Frames) -> None:
    final = final_errors(error_curves(last_layers, "test")).pivot(index="seed", columns="cell", values="error") * 100
    changes = {rule: final[f"{rule}, last layer bp"] - final[rule] for rule in ("fa", "kp")}
    table = effects(last_layers).table.set_index("cell")
    for rule, change in changes.items():
        interval = stats.t.interval(0.95, 4, change.mean(), stats.sem(change))
        row = table.loc[f"{rule}, last layer bp"]
        assert (row["mean"], row["low"], row["high"]) == pytest.approx((change.mean(), *interval))
    mean = (changes["fa"] + changes["kp"]) / 2
    assert table.loc["mean of 2", "mean"] == pytest.approx(mean.mean())
    assert table.loc["mean of 2", "high"] == pytest.approx(stats.t.interval(0.95, 4, mean.mean(), stats.sem(mean))[1])
