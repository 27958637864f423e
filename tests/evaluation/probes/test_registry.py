"""Metrics are found by name, by file, and by the entry points of installed packages."""

from importlib import import_module
from pathlib import Path

import pytest

from nowt.core.errors import ConfigError
from nowt.evaluation.probes.registry import BUILT_IN, INPUTS, find_metric, metric_names


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_name_loads_the_module_of_that_name(name: str) -> None:
    metric = find_metric(name)
    assert metric.function is import_module(f"nowt.evaluation.probes.metrics.{name}").measure
    assert metric.name == name and metric.required_inputs <= set(INPUTS)


def test_every_metric_module_is_listed() -> None:
    folder = Path(import_module("nowt.evaluation.probes.metrics").__path__[0])
    assert {path.stem for path in folder.glob("[!_]*.py")} == set(BUILT_IN)
    assert metric_names()[: len(BUILT_IN)] == list(BUILT_IN)


def test_a_function_of_a_file_is_a_metric(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def measure(x):\n    return {'all': 1.0}\n\ndef other(y):\n    return {'all': 2.0}\n")
    assert find_metric(str(path)).name == "mine"
    other = find_metric(f"{path}:other")
    assert (other.name, other.required_inputs) == ("other", {"y"})
    assert other.compute({"x": None, "y": None}, "") == {"all": 2.0}


def test_an_unknown_name_lists_the_available_metrics() -> None:
    with pytest.raises(ConfigError, match=r"unknown metric 'ckka' \(did you mean cka\?\); available: gradient_cosine"):
        find_metric("ckka")


def test_undefined_numbers_are_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def measure(x):\n    return {'all': float('nan'), 'one': float('inf'), 'two': 2}\n")
    assert find_metric(str(path)).compute({"x": None}, "") == {"all": None, "one": None, "two": 2.0}
