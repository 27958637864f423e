"""The repository's layout: what keeps it importable and readable."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nowt.core.version import VERSION
from tests.support.long_modules import LONG_MODULES, OTHERS

ROOT = Path(__file__).parent.parent

PACKAGE = ROOT / "platform" / "nowt"

SOURCES = ("platform", "analysis", "searchspaces", "benchmarks", "docs", "tests")

FOLDERS = {
    "cli",
    "studies",
    "execution",
    "evaluation",
    "training",
    "data",
    "models",
    "config",
    "layers",
    "tracking",
    "cluster",
    "rules",
    "store",
    "core",
}


def test_the_folder_platform_does_not_shadow_the_standard_librarys_module() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    code = "import platform; print(platform.system())"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() in ("Linux", "Darwin", "Windows")


def test_the_package_has_its_fourteen_folders_and_nothing_else_at_its_top() -> None:
    names = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert names == FOLDERS | {"__init__.py", "__main__.py", "py.typed"}


@pytest.mark.parametrize("folder", SOURCES)
def test_no_file_has_300_lines(folder: str) -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")
    }
    assert {path: n for path, n in lengths.items() if n >= 300} == {}


def test_the_modules_that_start_first_exist() -> None:
    assert [name for name in (*LONG_MODULES, *OTHERS) if not (ROOT / "tests" / name).exists()] == []


def test_no_module_of_the_package_imports_its_root() -> None:
    """The root imports from everywhere: a module that used it would import in a circle."""
    files = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]
    assert [str(path.relative_to(ROOT)) for path in files if imports_root(path)] == []


def imports_root(path: Path) -> bool:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return "nowt" in modules | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}


def test_the_version_is_that_of_the_package() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
