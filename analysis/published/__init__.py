"""The published curves of Akrout et al. (2019) as numbers; PROVENANCE.txt documents their source.

They are single runs on ImageNet, included as a reference.
"""

from importlib.resources import files

import pandas as pd

NETS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50"}  # by the name of nowt's model

RULES = ("bp", "fa", "ss", "wm", "kp")

SOURCE = "Akrout et al. 2019"

POINTS = 1.0  # uncertainty of a plotted point, percentage points: about one standard error on 2,048 images

OFF_AXIS = {"matrix": 15.0, "delta": 25.0}  # axis limits of the panels of wm and kp, degrees

ERRORS = {"model": "str", "rule": "str", "epoch": "float64", "error": "float64", "low": "float64", "high": "float64"}

ANGLES = {
    "rule": "str",
    "measure": "str",  # matrix or delta
    "layer": "int64",  # 1 (input) to 50 (output)
    "epoch": "float64",
    "angle": "float64",  # degrees
}


def published_errors() -> pd.DataFrame:
    """Return the top-1 test error on ImageNet in percent, by network, rule and epoch, ± POINTS; columns ERRORS."""
    found = _table("imagenet_error_curves.csv").rename(columns={"net": "model", "test_top1_err_pct": "error"})
    low, high = (found["error"] - POINTS).clip(lower=0), (found["error"] + POINTS).clip(upper=100)
    found = found.assign(rule=found["rule"].str.lower(), low=low, high=high)
    return found[list(ERRORS)].astype(ERRORS)


def published_angles() -> pd.DataFrame:
    """Return the angles of ResNet-50 on ImageNet by rule, measure, layer and epoch; columns ANGLES.

    Values beyond the axis limits of the published figure are missing.
    """
    found = _table("resnet50_angle_curves.csv")
    names = found["panel"].str.split(" ", expand=True)
    found = found.assign(rule=names[0].str.lower(), measure=names[1])
    found = found.rename(columns={"layer_rank_by_colour": "layer", "angle_deg": "angle"})
    ends = found["measure"].map(OFF_AXIS).where(found["rule"] != "ss", 90.0)
    return found.loc[found["angle"] < ends - 0.01, list(ANGLES)].astype(ANGLES)


def _table(name: str) -> pd.DataFrame:
    with (files(__name__) / name).open(encoding="utf-8") as file:
        return pd.read_csv(file)
