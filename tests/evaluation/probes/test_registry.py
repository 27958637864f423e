"""Metrics are found by name, by file, and by the entry points of installed packages."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from nowt.core.errors import ConfigError
from nowt.evaluation.probes import metric_code
from nowt.evaluation.probes.registry import BUILT_IN, INPUTS, find_metric, metric_names

Edit = Callable[[str, str], None]


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


@pytest.fixture
def edit(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Add a line to a module of nowt, as an upgrade does."""
    real = Path.read_bytes

    def edit(module: str, line: str) -> None:
        file = Path(str(import_module(module).__file__))
        monkeypatch.setattr(Path, "read_bytes", lambda path: real(path) + line.encode() * (path == file))

    return edit


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("gradient_cosine", "nowt.evaluation.probes.metrics.gradient_cosine"),
        ("gradient_cosine", "nowt.layers.model_state"),
        ("gradient_cosine", "nowt.layers.functional"),  # an import of an import
        ("weight_change", "nowt.evaluation.probes.model_state"),
        ("cka", "nowt.layers.model_state"),
        ("cka", "nowt.evaluation.probes.network"),  # chooses the batch
    ],
)
def test_the_key_of_a_metric_changes_with_the_code_that_it_computes_with(name: str, module: str, edit: Edit) -> None:
    before = find_metric(name).digest
    edit(module, "# a comment\n")
    assert find_metric(name).digest == before
    edit(module, "X = 1\n")
    assert find_metric(name).digest != before


def test_the_key_of_a_metric_does_not_change_with_code_that_it_does_not_use(edit: Edit) -> None:
    before = find_metric("cka").digest
    edit("nowt.layers.attach", "X = 1\n")
    assert find_metric("cka").digest == before


@pytest.mark.parametrize(
    "text",
    ["from nowt.layers.attach import feedback_layers", "from nowt import attach", "import nowt", "import helpers"],
)
def test_the_key_of_a_custom_metric_changes_with_the_code_of_nowt_that_it_uses(
    text: str, tmp_path: Path, edit: Edit
) -> None:
    (tmp_path / "helpers.py").write_text("from nowt.layers import attach\n")
    path = tmp_path / "mine.py"
    path.write_text(f"{text}\n\ndef measure(x):\n    return {{'all': 1.0}}\n")
    before = find_metric(str(path)).digest
    edit("nowt.layers.attach", "X = 1\n")
    assert find_metric(str(path)).digest != before


def test_the_key_of_an_installed_metric_changes_with_the_version_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "site-packages"
    place.mkdir()
    (place / "lab_of_a_test.py").write_text("def one(x):\n    return {'all': 1.0}\n")
    monkeypatch.syspath_prepend(place)
    digests = set()
    for version in "12":
        monkeypatch.setattr(metric_code, "package_versions", lambda names, version=version: {names[0]: version})
        digests.add(find_metric("lab_of_a_test:one").digest)
    assert len(digests) == 2
