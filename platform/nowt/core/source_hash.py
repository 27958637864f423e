"""Identifies the code of a custom file: a hash of its syntax tree and of those of the local modules that it imports.

- *Counted*: every import statement, also inside functions, and ``import_module("name")``. A module is local if its file
  is neither in the standard library, nor in ``site-packages``, nor part of nowt. Local modules are followed through
  their own imports.
- *Not counted*: comments, formatting, line ends, a byte-order mark, docstrings. Code that reads itself
  (``__doc__``, ``inspect.getsource`` and the like) is hashed as text, with everything that it contains.
- *Installed packages* are not hashed. Their versions are in ``packages``.
- *Not seen*: modules whose names are computed, and files that are opened.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

from nowt.core.imports import INSTALLED, OWN, installed_spec, is_local, local_module

LIBRARIES = ("torch", "torchvision", "ray", "optuna", "mlflow", "numpy")  # every log has their versions

NO_EFFECT = ("ctx", "kind", "type_comment", "type_ignores")  # fields of syntax trees

READS_ITSELF = {"__doc__", "getdoc", "getsource", "getsourcelines", "getcomments", "docopt"}


@dataclass(frozen=True)
class Source:
    """The code of a custom file.

    Attributes:
        digest: 12 hexadecimal digits. Files with the same code have the same, wherever they are.
        files: The file and every local module that it imports.
        packages: The top-level names of the installed packages that these files import, except ``LIBRARIES``.
    """

    digest: str
    files: tuple[Path, ...]
    packages: tuple[str, ...]


def read_source(path: Path, root: Path | None, package: str = "") -> Source:
    """Return the identity of the code in ``path``.

    Args:
        path: The file.
        root: Folder in which its imports are looked up first; None: in ``sys.path`` only.
        package: Dotted name of the package that the file belongs to, for its relative imports.
    """
    modules, packages = _closure([_Module("", path, root, package, path.stem)])
    parts = [f"{name} {tree_digest(file.read_bytes())}" for name, file in sorted(modules.items())]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return Source(digest, tuple(modules.values()), tuple(sorted(packages)))


def text_digest(path: Path, root: Path) -> str:
    """Return a hash of the text of ``path`` and of the local modules that it imports. Of a package (``path`` is its
    ``__init__.py`` or its folder), all modules count, since any file may import them."""
    folder = path if path.is_dir() else path.parent
    if path.is_file() and (path.name != "__init__.py" or folder == root):
        starts = [_Module("", path, root, "", path.stem)]
    else:
        starts = [_inside(file, root) for file in sorted(folder.rglob("*.py")) if _is_below(file, root)]
    files = sorted({path, *_closure(starts)[0].values()} - {folder})
    texts = (hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def package_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of the installed packages that provide these modules, by package."""
    found: dict[str, str] = {}
    for name in names:
        for package in _providers(name):
            found[package] = version(package)
    return found


def _providers(module: str) -> list[str]:
    try:
        version(module)
    except PackageNotFoundError:
        return sorted(set(packages_distributions().get(module, ())))
    return [module]


@dataclass(frozen=True)
class _Module:
    """A file of the closure; ``root`` and ``package`` as in ``read_source``, ``stem`` as in ``is_local``."""

    name: str
    file: Path
    root: Path | None
    package: str
    stem: str


def _is_below(file: Path, root: Path) -> bool:
    return is_local_file(file.relative_to(root))


def _inside(file: Path, root: Path) -> _Module:
    """Return a module of a package below ``root``."""
    name = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    return _Module(name, file, root, _package(name, file), "")


def _closure(starts: list[_Module]) -> tuple[dict[str, Path], set[str]]:
    """Return these modules and the local modules that they import, by name; and the installed packages."""
    found, packages, queue = {start.name: start.file for start in starts}, set[str](), [*starts]
    while queue:
        module = queue.pop()
        for name in imported_names(module.file.read_bytes(), module.package):
            for new in _resolve(name, module, packages):
                if new.name not in found:
                    found[new.name] = new.file
                    queue.append(new)
    return found, packages


def _resolve(name: str, importer: _Module, packages: set[str]) -> Iterator[_Module]:
    """Yield the local modules that an import of ``name`` runs: the packages that contain it, and itself."""
    relative, name = name.startswith("."), name.removeprefix(".")
    top = name.partition(".")[0]
    if importer.root is not None and (relative or is_local(importer.root, name, importer.stem)):
        for part, file in _below(importer.root, name):
            stem = file.stem if file.parent == importer.root else ""
            yield _Module(part, file, importer.root, _package(part, file), stem)
    elif top not in sys.stdlib_module_names and top not in OWN and top not in LIBRARIES:
        spec = installed_spec(top)
        if spec is not None and not is_local_spec(spec):
            packages.add(top)
        elif spec is not None:
            for part, file in _on_path(spec, name):
                yield _Module(part, file, None, _package(part, file), "")


def _below(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Yield the modules below ``root`` that an import of ``name`` runs, with their files."""
    for part in _prefixes(name):
        file = local_module(root, part.removesuffix(".*"))
        if part.endswith(".*") and file is not None:
            folder = file if file.is_dir() else file.parent
            names = sorted(folder.glob("*.py")) if file.name == "__init__.py" or file.is_dir() else []
            yield from ((f"{part[:-1]}{each.stem}", each) for each in names if each.name != "__init__.py")
        elif file is not None and file.is_file():
            yield part, file


def _on_path(spec: ModuleSpec | None, name: str) -> Iterator[tuple[str, Path]]:
    """Yield the modules on ``sys.path`` that an import of ``name`` runs, with their files. ``spec`` is the first's."""
    for part in _prefixes(name):
        spec = spec if "." not in part else _child(part, spec)
        if spec is None:
            return
        if spec.origin is not None:
            yield part, Path(spec.origin)


def is_local_spec(spec: ModuleSpec) -> bool:
    """Return whether a module is code of the user's own: in no folder of installed packages."""
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return bool(places) and all(place not in ("built-in", "frozen") and is_local_file(Path(place)) for place in places)


def is_local_file(file: Path) -> bool:
    """Return whether the file is in no folder of installed packages."""
    return not set(INSTALLED) & {*file.parts}


def _child(name: str, parent: ModuleSpec | None) -> ModuleSpec | None:
    locations = parent.submodule_search_locations if parent is not None else None
    return None if locations is None else PathFinder.find_spec(name, list(locations))


def _package(name: str, file: Path) -> str:
    return name if file.name == "__init__.py" else name.rpartition(".")[0]


def _prefixes(name: str) -> Iterator[str]:
    """Yield ``a``, ``a.b`` and ``a.b.c`` for ``a.b.c``."""
    parts = name.split(".")
    yield from (".".join(parts[: n + 1]) for n in range(len(parts)))


@lru_cache(maxsize=1024)
def imported_names(text: bytes, package: str) -> tuple[str, ...]:
    """Return the dotted names of the modules that a file may import; none for a text that is no Python.

    ``from a import b`` gives ``a.b``, whether or not that is a module, and ``from a import *`` gives ``a.*``. A
    relative import gives the absolute name, with a leading dot.
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
            names |= dict.fromkeys(_literal_import(node))
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


def _literal_import(node: ast.Call) -> Iterator[str]:
    """Yield the name in ``import_module("name")`` and ``__import__("name")``."""
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if function in ("import_module", "__import__") and node.args:
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.isidentifier():
            yield first.value


@lru_cache(maxsize=1024)
def tree_digest(text: bytes) -> str:
    """Return a hash of the syntax tree of a file, the same in every version of Python that parses it; of its text with
    ``\\n`` at line ends if it reads itself or is no Python."""
    try:
        tree = ast.parse(text)
        content = "\n".join(_tokens(tree))
    except (SyntaxError, ValueError):
        tree = None
    if tree is None or READS_ITSELF & set(_words(tree)):
        content = text.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").hex()
    return hashlib.sha256(content.encode()).hexdigest()


def _words(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            yield from [node.value] if isinstance(node.value, str) else []
        elif isinstance(node, ast.Name | ast.Attribute | ast.alias):
            yield node.id if isinstance(node, ast.Name) else getattr(node, "attr", "") or getattr(node, "name", "")


class _Text(str):
    """A token that is ready."""


def _tokens(tree: ast.AST) -> Iterator[str]:
    """Yield the tree as text, without what has no effect and without empty fields, which vary between versions of
    Python. It is not recursive, since a tree may be deeper than Python's stack."""
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, _Text):
            yield item
        elif isinstance(item, ast.AST):
            yield f"({type(item).__name__}"
            stack.append(_Text(")"))
            for name, value in reversed(_fields(item)):
                stack += [value, _Text(name)]
        elif isinstance(item, list):
            yield "["
            stack += [_Text("]"), *reversed(item)]
        else:  # integers in hexadecimal, since long ones have no decimal text
            yield f"{type(item).__name__} {item:x}" if type(item) is int else f"{type(item).__name__} {item!r}"


def _fields(node: ast.AST) -> list[tuple[str, Any]]:
    """Return the fields of a node that decide what it does."""
    if isinstance(node, ast.Constant):
        return [("value", node.value)]
    found = [(name, _statements(value)) for name, value in ast.iter_fields(node) if name not in NO_EFFECT]
    return [(name, value) for name, value in found if value is not None and value != []]


def _statements(value: Any) -> Any:
    """Return a list of statements without those that are only a string: docstrings, and strings used as comments."""
    return [each for each in value if not _is_string(each)] if isinstance(value, list) else value


def _is_string(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
