"""The published final errors on ImageNet, to stand beside a study's own.

``published_finals.csv``: mean and standard error of the last five checkpoints of each curve on the poster of Akrout et
al. (NeurIPS 2019, arXiv:1904.05391), read from the vector paths of its PDF, exact to about 0.01 points. Each curve is
one run, as far as can be known, and each checkpoint was scored on 2,048 pictures, which alone makes for a standard
error of about 1 point (0.2 to 0.3 for fa). So the error given is one over checkpoints, not over seeds, and differences
below a point (bp, wm, kp) are within it.
"""

from importlib.resources import files

import pandas as pd

DATA = "imagenet"  # what they may be compared with
NETS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50"}
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


def published_finals() -> pd.DataFrame:
    """One row a net and rule, columns FINALS."""
    with (files("analysis") / "published_finals.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)[list(FINALS)].astype(FINALS)


def published_text(net: str, rule: str) -> str:
    """``30.26 ± 0.34``, or nothing where nothing is published."""
    found = published_finals().set_index(["net", "rule"])
    if (net, rule) not in found.index:
        return ""
    error, deviation = found.loc[(net, rule), ["error_percent", "standard_error_points"]].astype(float)
    return f"{error:.2f} ± {deviation:.2f}"
