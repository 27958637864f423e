"""docs/architecture.md: the files and names that it mentions exist, and its invariants on imports hold."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOWT = ROOT / "platform" / "nowt"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

EXAMPLES = ("FILE.py",)  # files of a user


def candidates(file: str) -> list[Path]:
    """The files of the repository that a path on the page may mean."""
    folders = ("platform", "analysis", "searchspaces", "tests")
    return [path for folder in folders for path in (ROOT / folder).rglob(Path(file).name) if f"/{path}".endswith(file)]


def test_the_files_that_it_mentions_exist_and_define_the_names() -> None:
    mentioned = re.findall(r"`([\w/]+\.py)(?:: ([\w.]+))?`", PAGE)
    assert len(mentioned) > 40
    for file, name in mentioned:
        if file not in EXAMPLES:
            texts = [path.read_text(encoding="utf-8") for path in candidates(f"/{file}")]
            assert texts, file
            words = name.split(".")
            assert any(all(re.search(rf"\b{word}\b", text) for word in words) for text in texts), f"{file}: {name}"


def test_the_attributes_of_classes_that_it_mentions_exist() -> None:
    mentioned = re.findall(r"`([A-Z][A-Za-z]+)\.(\w+)`", PAGE)
    assert len(mentioned) > 4
    for name, attribute in mentioned:
        bodies = [node for node in all_classes() if node.name == name]
        assert any(attribute in names_in(body) for body in bodies), f"{name}.{attribute}"


@cache
def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def all_classes() -> list[ast.ClassDef]:
    """Every class of nowt."""
    nodes = (node for path in NOWT.rglob("*.py") for node in ast.walk(syntax_tree(path)))
    return [node for node in nodes if isinstance(node, ast.ClassDef)]


def names_in(body: ast.ClassDef) -> set[str]:
    """The methods and fields of a class."""
    methods = {node.name for node in body.body if isinstance(node, ast.FunctionDef)}
    return methods | {
        node.target.id
        for node in ast.walk(body)
        if isinstance(node, ast.AnnAssign)
        if isinstance(node.target, ast.Name)
    }


def test_its_table_lists_the_folders_of_nowt_from_the_top_layer_down() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [layers] = [contract["layers"] for contract in contracts if contract.get("containers") == ["nowt"]]
    level = {folder: number for number, layer in enumerate(layers) for folder in layer.split(" | ")}
    section = PAGE.partition("## The folders")[2].partition("`searchspaces`")[0]
    rows = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    listed = [folder for row in rows for folder in re.findall(r"`(\w+)`", row)]
    assert set(listed) == set(level)
    assert [level[folder] for folder in listed] == sorted(level.values())


def imports_of(path: Path) -> Iterator[str]:
    """The modules, and the names in them, that a file imports."""
    for node in ast.walk(syntax_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers_of(module: str) -> set[str]:
    """The files of nowt that import the module, relative to its folder."""
    return {
        path.relative_to(NOWT).as_posix()
        for path in NOWT.rglob("*.py")
        if any(f"{name}.".startswith(f"{module}.") for name in imports_of(path))
    }


def test_mlflow_is_imported_in_tracking_only() -> None:
    importers = importers_of("mlflow")
    assert importers and all(file.startswith("tracking/") for file in importers), importers


def test_ray_tune_is_imported_in_one_file_only() -> None:
    assert importers_of("ray.tune") == {"execution/ray_tune.py"}
