"""The published final errors on ImageNet, to stand beside a study's own.

Mean and standard error of the last five checkpoints of each published curve. Each curve is one run, as far as can be
known, and each checkpoint was scored on 2,048 pictures, which alone makes for a standard error of about 1 point (0.2 to
0.3 for fa). So the error given is one over checkpoints, not over seeds, and differences below a point (bp, wm, kp) are
within it.
"""

from functools import cache

import pandas as pd

from analysis.frames.schema import checked
from analysis.published import NETS, RULES, published_errors

DATA = "imagenet"  # what they may be compared with

LAST = 5  # checkpoints

SAID = (
    "Published: Akrout et al. 2019 on ImageNet, mean ± standard error of the last five checkpoints of one run, 2,048 "
    "pictures a checkpoint; not over seeds."
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
    """One row a net and rule, columns FINALS."""
    nets = {named: net for net, named in NETS.items()}
    last = published_errors().groupby(["model", "rule"]).tail(LAST)  # each curve is in order of its epochs
    finals = last.groupby(["model", "rule"])["error"].agg(["mean", "sem", "count"]).round(2)
    known = finals.reindex(pd.MultiIndex.from_product([nets, RULES])).dropna().reset_index()
    known.columns = pd.Index(list(FINALS))
    return checked(known.assign(net=known["net"].map(nets)), FINALS)


def published_text(net: str, rule: str) -> str:
    """``30.26 ± 0.34``, or nothing where nothing is published."""
    found = published_finals().set_index(["net", "rule"])
    if (net, rule) not in found.index:
        return ""
    error, deviation = found.loc[(net, rule), ["error_percent", "standard_error_points"]].astype(float)
    return f"{error:.2f} ± {deviation:.2f}"
