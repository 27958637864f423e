"""The public interface: what ``nowt`` names can be imported, is documented, and its examples do what they show."""

import ast
import doctest
import importlib
import inspect
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import nowt
from nowt.rules.registry import builtin_rules

PACKAGE = Path(nowt.__file__).parent

FUNCTIONS = [name for name in nowt.__all__ if inspect.isfunction(getattr(nowt, name))]

CLASSES = [name for name in nowt.__all__ if inspect.isclass(getattr(nowt, name))]


def modules_with_examples() -> list[str]:
    """The modules of nowt whose docstrings have examples."""
    files = [path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text()]
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files]
    return sorted(name.removesuffix(".__init__") for name in names)


def documentation(name: str) -> str:
    return inspect.getdoc(getattr(nowt, name)) or ""


def test_every_public_name_can_be_imported() -> None:
    for name in nowt.__all__:
        assert getattr(nowt, name) is not None
    assert set(nowt.__all__) <= set(dir(nowt))


def test_every_builtin_rule_is_public() -> None:
    assert {rule.__name__ for rule in builtin_rules()} <= set(nowt.__all__)
    assert all(getattr(nowt, rule.__name__) is rule for rule in builtin_rules())


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'nowt' has no attribute 'KolenPolak'"):
        _ = nowt.KolenPolak  # type: ignore[attr-defined]


def test_type_checkers_see_the_same_names_as_python() -> None:
    tree = ast.parse(Path(nowt.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    seen = {
        alias.asname or alias.name for node in imports if str(node.module).startswith("nowt.") for alias in node.names
    }
    assert seen == set(nowt.__all__)


def test_importing_nowt_imports_nothing_heavy() -> None:
    code = "import nowt, sys; print([name for name in ('torch', 'ray', 'mlflow', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_needs_nothing_but_its_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    digits = nowt.recipes.digits(nowt.KolenPollack())
    config = replace(digits, data=replace(digits.data, train_limit=64, repeat=1, size=8), epochs=1)
    assert [epoch.epoch for epoch in nowt.train(config)] == [0, 1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_documents_its_arguments_and_its_result(name: str) -> None:
    text = documentation(name)
    assert "\nArgs:\n" in text and ("\nReturns:\n" in text or "\nYields:\n" in text) and "\nExample:\n" in text
    undocumented = [arg for arg in inspect.signature(getattr(nowt, name)).parameters if f"    {arg}: " not in text]
    assert undocumented == []


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_has_an_example_and_documents_its_fields(name: str) -> None:
    kind, text = getattr(nowt, name), documentation(name)
    assert "\nExample:\n" in text
    settings = fields(kind) if is_dataclass(kind) else ()
    assert [field.name for field in settings if f"    {field.name}: " not in text] == []


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_in_docstrings_do_what_they_show(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    assert examples_of(module), "no docstring of the module has the example"
    report: list[str] = []
    for test in examples_of(module):
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert report == [], "".join(report)


def examples_of(module: ModuleType) -> list[doctest.DocTest]:
    """The examples of a module, each run without the module's names, as a user would."""
    found: list[Any] = doctest.DocTestFinder(exclude_empty=True).find(module, globs={})
    return [test for test in found if test.examples]
