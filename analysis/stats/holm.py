"""Holm's correction: p values of several comparisons, so that a false claim among all of them is as rare as alpha.

Holm (1979), "A simple sequentially rejective multiple test procedure": with the m values in ascending order, the
k-th is multiplied by m − k + 1, and none may be smaller than the one before it.
"""

import numpy as np
import pandas as pd


def holm(p: "pd.Series[float]") -> "pd.Series[float]":
    """The corrected values, each at most 1. NaN, a comparison that was not tested, stays NaN and does not count."""
    ordered = p.dropna().sort_values()
    times = np.arange(len(ordered), 0, -1)
    return (ordered * times).cummax().clip(upper=1.0).reindex(p.index)
