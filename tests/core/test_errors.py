"""Messages of the library are true for users of Python and of the command line: they name fields, which both have."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "platform" / "nowt"

# messages about what was typed on a command line, or is to be
COMMAND_LINE = (
    "config/field_names.py",
    "config/overrides.py",
    "config/stored_config.py",
    "training/retention.py",
    "data/imagenet/",
)


def sentences(file: Path) -> Iterator[str]:
    """Yield the texts with a space in a file, without its docstrings."""
    tree = ast.parse(file.read_text())
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield from [node.value] if " " in node.value else []


@pytest.mark.parametrize("folder", ["core", "rules", "layers", "config", "data", "models", "training"])
def test_messages_name_an_option_only_beside_its_field(folder: str) -> None:
    found = {
        f"{place}: {text}"
        for file in (PACKAGE / folder).rglob("*.py")
        if not (place := str(file.relative_to(PACKAGE))).startswith(COMMAND_LINE)
        for text in sentences(file)
        if re.search(r"(?<!\w)--[a-z]", text) and "Placement." not in text
    }
    assert found == set()
