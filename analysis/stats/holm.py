"""Holm's correction of p values for several comparisons, which controls the family-wise error rate.

Holm (1979), "A simple sequentially rejective multiple test procedure": with the m values in ascending order, the k-th
is multiplied by m − k + 1, and no corrected value is smaller than the one before it.
"""

import numpy as np
import pandas as pd


def holm(p: "pd.Series[float]") -> "pd.Series[float]":
    """Return the Holm-corrected p values, each at most 1.

    Args:
        p: One p value per comparison; NaN for a comparison that was not tested, which stays NaN and is not counted.

    Returns:
        The corrected values, with the index of ``p``.

    Reference:
        Holm (1979), "A simple sequentially rejective multiple test procedure".

    Example:
        >>> list(holm(pd.Series([0.01, 0.04, 0.03])))
        [0.03, 0.06, 0.06]
    """
    ordered = p.dropna().sort_values()
    times = np.arange(len(ordered), 0, -1)
    return (ordered * times).cummax().clip(upper=1.0).reindex(p.index)
