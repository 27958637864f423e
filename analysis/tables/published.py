"""The published final errors on ImageNet, for comparison with a study's own.

They are the mean and standard error of the last five checkpoints of each published curve. As far as is known, each
curve is a single run. Each checkpoint was evaluated on 2,048 images, which alone implies a standard error of about 1
percentage point (0.2 to 0.3 for fa). The standard error is over checkpoints, not over seeds, and differences below a
point (bp, wm, kp) are within it.
"""

from functools import cache

import pandas as pd

from analysis.frames.schema import enforce_schema
from analysis.published import NETS, RULES, published_errors

DATA = "imagenet"  # the data set on which the errors are comparable

LAST = 5  # checkpoints

SOURCE_NOTE = (
    "Published: Akrout et al. (2019) on ImageNet, mean ± standard error of the last five checkpoints of one run, 2,048 "
    "images per checkpoint; not over seeds."
)

FINALS = {
    "net": "str",
    "rule": "str",
    "error_percent": "float64",
    "standard_error_points": "float64",
    "checkpoints": "int64",
}


@cache
def published_finals() -> pd.DataFrame:
    """Return one row per network and rule, columns FINALS."""
    nets = {named: net for net, named in NETS.items()}
    last = published_errors().groupby(["model", "rule"]).tail(LAST)  # each curve is ordered by epoch
    finals = last.groupby(["model", "rule"])["error"].agg(["mean", "sem", "count"]).round(2)
    known = finals.reindex(pd.MultiIndex.from_product([nets, RULES])).dropna().reset_index()
    known.columns = pd.Index(list(FINALS))
    return enforce_schema(known.assign(net=known["net"].map(nets)), FINALS)


def published_text(net: str, rule: str) -> str:
    """Return the published error as ``30.26 ± 0.34``; empty if there is none."""
    found = published_finals().set_index(["net", "rule"])
    if (net, rule) not in found.index:
        return ""
    error, deviation = found.loc[(net, rule), ["error_percent", "standard_error_points"]].astype(float)
    return f"{error:.2f} ± {deviation:.2f}"
