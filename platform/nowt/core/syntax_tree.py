"""The syntax tree of a Python file: a hash of what it does, and the modules that it imports."""

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

NO_EFFECT = ("ctx", "kind", "type_comment", "type_ignores")  # fields of syntax trees

LOADS_FILES = ("find_rule", "load_object", "load_module")  # of nowt; the first argument may be a file

READS_CODE = {"__doc__", "getdoc", "getsource", "getsourcelines", "getcomments", "docopt"}


@lru_cache(maxsize=1024)
def imported_names(text: bytes, package: str) -> tuple[str, ...]:
    """Return the dotted names of the modules that a file may import; none for a text that is no Python.

    ``from a import b`` gives ``a.b``, whether or not that is a module, and ``from a import *`` gives ``a.*``. A
    relative import gives the absolute name, with a leading dot. ``import_module`` gives the name with a leading ``~``,
    too, since it looks in ``sys.path`` even if a module of that name is beside the file.
    ``find_rule("./a.py:B")`` gives ``@./a.py``.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ()
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= dict.fromkeys(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            names |= {} if base is None else dict.fromkeys(f"{base}{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            names |= dict.fromkeys([*_literal_import(node, package), *_literal_file(node)])
    return tuple(names)


def _base(node: ast.ImportFrom, package: str) -> str | None:
    """Return the module of ``from MODULE import x``, with a dot at its end; None if it is above the topmost package."""
    if not node.level:
        return f"{node.module}."
    parts = package.split(".") if package else [""]
    if node.level > len(parts):
        return None
    parts = [*parts[: len(parts) - node.level + 1], node.module or ""]
    return "." + "".join(f"{part}." for part in parts if part)


def _literal_import(node: ast.Call, package: str) -> Iterator[str]:
    """Yield the name in ``import_module("name")`` and ``__import__("name")``."""
    for text in _literals(node, "import_module", "__import__"):
        name = text.lstrip(".")
        if not all(part.isidentifier() for part in name.split(".")):
            continue
        if not (level := len(text) - len(name)):
            yield from (name, f"~{name}")
        elif (base := _base(ast.ImportFrom(name, [], level), package)) is not None:
            yield base.removesuffix(".")


def _literal_file(node: ast.Call) -> Iterator[str]:
    """Yield the file in ``find_rule("./file.py")``."""
    for text in _literals(node, *LOADS_FILES):
        place = text if text.endswith(".py") else text.rpartition(":")[0]
        if place.endswith(".py"):
            yield f"@{place}"


def _literals(node: ast.Call, *functions: str) -> list[str]:
    """Return the text that is the first argument, or the argument ``name`` or ``spec``, in a call of ``functions``."""
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if function not in functions:
        return []
    given = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg in ("name", "spec", "place"))]
    return [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]


@lru_cache(maxsize=1024)
def tree_digest(text: bytes, strings: bool = False) -> str:
    """Return a hash of the syntax tree of a file, the same in every version of Python that parses it; of its text with
    ``\\n`` at line ends if it reads code or is no Python. ``strings``: docstrings count, too."""
    try:
        content = "\n".join(_tokens(ast.parse(text), strings))
    except (SyntaxError, ValueError):
        content = ""
    if not content or reads_strings(text):
        content = text.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").hex()
    return hashlib.sha256(content.encode()).hexdigest()


@lru_cache(maxsize=1024)
def reads_strings(text: bytes) -> bool:
    """Return whether a file may read docstrings or source code: its own, or those of the modules that use it."""
    try:
        return bool(READS_CODE & set(_words(ast.parse(text))))
    except (SyntaxError, ValueError):
        return False


def _words(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            yield from [node.value] if isinstance(node.value, str) else []
        elif isinstance(node, ast.Name | ast.Attribute | ast.alias):
            yield node.id if isinstance(node, ast.Name) else getattr(node, "attr", "") or getattr(node, "name", "")


class _Text(str):
    """A token that is ready."""


def _tokens(tree: ast.AST, strings: bool) -> Iterator[str]:
    """Yield the tree as text, without what has no effect (docstrings, unless ``strings``) and without empty fields,
    which vary between versions of Python. It is not recursive, since a tree may be deeper than Python's stack."""
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, _Text):
            yield item
        elif isinstance(item, ast.AST):
            yield f"({type(item).__name__}"
            stack.append(_Text(")"))
            for name, value in reversed(_fields(item, strings)):
                stack += [value, _Text(name)]
        elif isinstance(item, list):
            yield "["
            stack += [_Text("]"), *reversed(item)]
        else:  # integers in hexadecimal, since long ones have no decimal text
            yield f"{type(item).__name__} {item:x}" if type(item) is int else f"{type(item).__name__} {item!r}"


def _fields(node: ast.AST, strings: bool) -> list[tuple[str, Any]]:
    """Return the fields of a node that decide what it does."""
    if isinstance(node, ast.Constant):
        return [("value", node.value)]
    counted = [(name, value) for name, value in ast.iter_fields(node) if name not in NO_EFFECT]
    found = counted if strings else [(name, _statements(value)) for name, value in counted]
    return [(name, value) for name, value in found if value is not None and value != []]


def _statements(value: Any) -> Any:
    """Return a list of statements without those that are only a string: docstrings, and strings used as comments."""
    return [each for each in value if not _is_string(each)] if isinstance(value, list) else value


def _is_string(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
