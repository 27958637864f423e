"""The published curves of Akrout et al. (2019), as numbers; PROVENANCE.txt, beside the tables, tells their source.

They are ImageNet's, of single runs: a frame of reference, not data of the lab's own.
"""

from importlib.resources import files

import pandas as pd

NETS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50"}  # by the name of nowt's model

RULES = ("bp", "fa", "ss", "wm", "kp")

SOURCE = "Akrout et al. 2019"

POINTS = 1.0  # the error of a plotted point, percentage points: about one standard error on 2,048 pictures

OFF_AXIS = {"matrix": 15.0, "delta": 25.0}  # degrees at which wm's and kp's panels end

ERRORS = {"model": "str", "rule": "str", "epoch": "float64", "error": "float64", "low": "float64", "high": "float64"}

ANGLES = {
    "rule": "str",
    "measure": "str",  # matrix or delta
    "layer": "int64",  # 1 (input) to 50 (output)
    "epoch": "float64",
    "angle": "float64",  # degrees
}


def published_errors() -> pd.DataFrame:
    """Top-1 test error on ImageNet by net, rule and epoch, percent, with POINTS below and above; columns ERRORS."""
    found = _table("imagenet_error_curves.csv").rename(columns={"net": "model", "test_top1_err_pct": "error"})
    low, high = (found["error"] - POINTS).clip(lower=0), (found["error"] + POINTS).clip(upper=100)
    found = found.assign(rule=found["rule"].str.lower(), low=low, high=high)
    return found[list(ERRORS)].astype(ERRORS)


def published_angles() -> pd.DataFrame:
    """ResNet-50's angles on ImageNet by rule, measure, layer and epoch, as far as they were on their axes; columns
    ANGLES."""
    found = _table("resnet50_angle_curves.csv")
    names = found["panel"].str.split(" ", expand=True)
    found = found.assign(rule=names[0].str.lower(), measure=names[1])
    found = found.rename(columns={"layer_rank_by_colour": "layer", "angle_deg": "angle"})
    ends = found["measure"].map(OFF_AXIS).where(found["rule"] != "ss", 90.0)
    return found.loc[found["angle"] < ends - 0.01, list(ANGLES)].astype(ANGLES)


def provenance() -> str:
    """Where the tables come from and what they are."""
    return (files(__name__) / "PROVENANCE.txt").read_text(encoding="utf-8")


def _table(name: str) -> pd.DataFrame:
    with (files(__name__) / name).open(encoding="utf-8") as file:
        return pd.read_csv(file)
