"""Run keys, study keys, epoch logs and frame columns are those of ``golden.json``: no refactoring changes a number.

A commit that changes numbers on purpose raises the numerics version, writes the file anew with
``python -m tests.test_golden``, and says why.
"""

import json
import math
import sys
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from analysis import published as digitized
from analysis.frames import mlflow, probes, study
from analysis.frames.store import columns, trial_rows
from analysis.stats import paired, tuning, variance
from analysis.stats.importance import IMPORTANCE
from analysis.tables import final, published, search
from nowt.config.field_names import Override
from nowt.config.overrides import apply_overrides
from nowt.config.placement import Placement
from nowt.config.recipes import RECIPES, rule_for, shrink_config
from nowt.config.run_key import run_key
from nowt.rules.registry import builtin_rules
from nowt.store.records import epoch_to_json
from nowt.studies.lookup import find_space, find_study
from nowt.training.loop import train

GOLDEN = Path(__file__).with_name("golden.json")

FINGERPRINT = "a fixed text in place of the data's fingerprint"

LEFT_OUT = ("seconds", "probe_seconds", "test_correct", "test_images")  # the test error is that of these images

FRAMES = {
    "study runs": study.RUNS,
    "study epochs": study.EPOCHS,
    "study layers": study.LAYERS,
    "store runs": columns.RUNS,
    "store epochs": columns.EPOCHS,
    "store layers": columns.LAYERS,
    "store cells": columns.CELLS,
    "store trials": columns.STUDY_TRIALS,
    "trials": trial_rows.TRIALS,
    "probes": probes.PROBES,
    "mlflow runs": mlflow.RUNS,
    "mlflow metrics": mlflow.METRICS,
    "paired": paired.PAIRED,
    "tuning": tuning.TUNING,
    "importance": IMPORTANCE,
    "variance split": variance.SPLIT,
    "variance sources": variance.SOURCES,
    "final errors": final.TABLE,
    "search table": search.SEARCH_TABLE,
    "published finals": published.FINALS,
    "published errors": digitized.ERRORS,
    "published angles": digitized.ANGLES,
}


def run_keys() -> dict[str, str]:
    """The run key of every rule in every recipe, with its defaults and with one field changed."""
    keys = {}
    for recipe, make in RECIPES.items():
        for rule in builtin_rules():
            config = make(rule_for(recipe, rule.name))
            keys[f"{recipe} {rule.name}"] = run_key(config, FINGERPRINT)
            keys[f"{recipe} {rule.name} optim.lr=0.123"] = run_key(
                apply_overrides(config, [Override("optim.lr", "0.123")]), FINGERPRINT
            )
    return keys


def study_keys() -> dict[str, str]:
    """The key of every study and search space that nowt ships."""
    studies = {point.name: find_study(point.name).key for point in entry_points(group="nowt.studies")}
    spaces = {point.name: find_space(point.name).key for point in entry_points(group="nowt.spaces")}
    return dict(sorted((studies | spaces).items()))


def epochs_of(rule: str) -> list[dict[str, Any]]:
    """The epoch-log lines of a two-epoch run on digits, without seconds and single images.

    In float64: in float32, AVX2 and AVX-512 round differently, and 64 steps amplify this to 1e-3.
    """
    config = shrink_config(RECIPES["digits"](rule_for("digits", rule)), epochs=2)
    config = replace(config, test=True, precision="float64")
    lines = [epoch_to_json(epoch) for epoch in train(config, Placement(device="cpu", threads=1))]
    return [json.loads(json.dumps(_compared(line))) for line in lines]


def _compared(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _compared(inner) for key, inner in value.items() if key not in LEFT_OUT}
    return [_compared(inner) for inner in value] if isinstance(value, list | tuple) else value


def frame_columns() -> dict[str, dict[str, str]]:
    """Names and types of every frame's columns."""
    return {name: dict(kinds) for name, kinds in FRAMES.items()}


def contents() -> dict[str, Any]:
    """What ``golden.json`` holds."""
    epochs = {rule.name: epochs_of(rule.name) for rule in builtin_rules()}
    return {"run_keys": run_keys(), "study_keys": study_keys(), "frames": frame_columns(), "epochs": epochs}


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(GOLDEN.read_text())
    return read


def test_every_run_key_is_the_golden_one(golden: dict[str, Any]) -> None:
    assert run_keys() == golden["run_keys"]


def test_every_study_key_is_the_golden_one(golden: dict[str, Any]) -> None:
    assert study_keys() == golden["study_keys"]


def test_every_frame_has_the_golden_columns_in_their_order(golden: dict[str, Any]) -> None:
    assert {name: list(kinds.items()) for name, kinds in frame_columns().items()} == {
        name: list(kinds.items()) for name, kinds in golden["frames"].items()
    }


@pytest.mark.parametrize("rule", [rule.name for rule in builtin_rules()])
def test_two_epochs_on_digits_give_the_golden_numbers(golden: dict[str, Any], rule: str) -> None:
    """To 1e-7 relative: processors round differently."""
    _assert_close(epochs_of(rule), golden["epochs"][rule], rule)


def _assert_close(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key in expected:
            _assert_close(found[key], expected[key], f"{where} {key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for place, inner in enumerate(expected):
            _assert_close(found[place], inner, f"{where} {place}")
    elif isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=1e-7, abs_tol=1e-9), where
    else:
        assert found == expected, where


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(contents(), indent=1) + "\n")
    sys.exit(0)
