"""Identifies the code of a custom file: a hash of its syntax tree and of those of the local modules that it imports.

- *Counted*: every import statement, also inside functions, and ``import_module("name")``, and a
  file in ``find_rule("./file.py")``. A module is local if its file
  is neither in the standard library, nor in ``site-packages``, nor part of nowt. Local modules are followed through
  their own imports.
- *Not counted*: comments, formatting, line ends, a byte-order mark, docstrings. A file that reads code (``__doc__``,
  ``inspect.getsource`` and the like) is hashed as text, and the docstrings of all modules count.
- *Installed packages* are not hashed. Their versions are in ``packages``.
- *Not seen*: modules whose names are computed, and files that are opened.
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from nowt.core.imports import INSTALLED, OWN, Texts, installed_spec, is_local, local_module, text_digest
from nowt.core.syntax_tree import imported_names, reads_strings, tree_digest

LIBRARIES = ("torch", "torchvision", "ray", "optuna", "mlflow", "numpy")  # every log has their versions


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
    texts = {file: file.read_bytes() for _, file in modules}
    strings = any(map(reads_strings, texts.values()))
    parts = sorted(f"{name} {tree_digest(texts[file], strings)}" for name, file in modules)
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return Source(digest, tuple(texts), tuple(sorted(packages)))


def read_texts(path: Path, root: Path) -> Texts:
    """Return the texts of ``path`` and of the local modules that it imports. Of a package (``path`` is its
    ``__init__.py`` or its folder), all modules count, since any file may import them."""
    folder = path if path.is_dir() else path.parent
    if path.is_file() and (path.name != "__init__.py" or folder == root):
        starts = [_Module("", path, root, "", path.stem)]
    else:
        starts = [_inside(file, root) for file in sorted(folder.rglob("*.py")) if _is_below(file, root)]
    files = sorted({path, *(file for _, file in _closure(starts)[0])} - {folder})
    return {file: text_digest(file) for file in files}


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
        return sorted(set(_packages(_folders()).get(module, ())))
    return [module]


def _folders() -> tuple[tuple[str, int], ...]:
    """Return the folders of ``sys.path`` with the time of their last change: installing a package changes one."""
    return tuple((path, Path(path).stat().st_mtime_ns) for path in sys.path if Path(path).is_dir())


@lru_cache(maxsize=1)
def _packages(folders: tuple[tuple[str, int], ...]) -> Mapping[str, list[str]]:
    """Return the packages that provide each module. It reads the file list of every installed package, which takes
    0.4 s, so it is read again only when ``folders`` change."""
    return packages_distributions()


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


def _closure(starts: list[_Module]) -> tuple[list[tuple[str, Path]], set[str]]:
    """Return these modules and the local modules that they import, by name and file; and the installed packages. One
    name may have two files: of modules beside the file and on ``sys.path``, each imports its own."""
    found, packages, queue = {(start.name, start.file): None for start in starts}, set[str](), [*starts]
    while queue:
        module = queue.pop()
        for name in imported_names(module.file.read_bytes(), module.package):
            for new in _resolve(name, module, packages):
                if (new.name, new.file) not in found:
                    found[new.name, new.file] = None
                    queue.append(new)
    return list(found), packages


def _resolve(name: str, importer: _Module, packages: set[str]) -> Iterator[_Module]:
    """Yield the local modules that an import of ``name`` runs: the packages that contain it, and itself."""
    if name.startswith("@"):
        yield from _loaded(name, importer)
        return
    relative, by_path, name = name.startswith("."), name.startswith("~"), name.lstrip(".~")
    top = name.partition(".")[0]
    if importer.root is not None and not by_path and (relative or is_local(importer.root, name, importer.stem)):
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


def _loaded(name: str, importer: _Module) -> Iterator[_Module]:
    """Yield the file that a custom file loads by its path, relative to its own folder; it imports as a custom file."""
    file = (importer.file.parent / Path(name[1:]).expanduser()).resolve()
    if importer.root is not None and file.is_file():
        yield _Module(name, file, file.parent, "", file.stem)


def _below(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Yield the modules below ``root`` that an import of ``name`` runs, with their files."""
    for part in _prefixes(name):
        file = local_module(root, part.removesuffix(".*"))
        if part.endswith(".*") and file is not None:
            is_package = file.is_dir() or file.name == "__init__.py"
            yield from _siblings(part, [file if file.is_dir() else file.parent] if is_package else [])
        elif file is not None and file.is_file():
            yield part, file


def _on_path(spec: ModuleSpec | None, name: str) -> Iterator[tuple[str, Path]]:
    """Yield the modules on ``sys.path`` that an import of ``name`` runs, with their files. ``spec`` is the first's."""
    for part in _prefixes(name):
        if part.endswith(".*"):
            yield from _siblings(part, [] if spec is None else spec.submodule_search_locations or [])
            return
        spec = spec if "." not in part else _child(part, spec)
        if spec is None:
            return
        if spec.origin is not None:
            yield part, Path(spec.origin)


def _siblings(name: str, folders: Iterable[str | Path]) -> Iterator[tuple[str, Path]]:
    """Yield the modules in the folders of package ``a``, all of which ``a.*`` may import."""
    for file in (each for folder in folders for each in sorted(Path(folder).glob("*.py"))):
        if file.name != "__init__.py":
            yield f"{name[:-1]}{file.stem}", file


def is_local_spec(spec: ModuleSpec) -> bool:
    """Return whether a module is code of the user's own: in no folder of installed packages."""
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return bool(places) and all(place not in ("built-in", "frozen") and is_local_file(Path(place)) for place in places)


def is_local_file(file: Path) -> bool:
    """Return whether the file is in no folder of installed packages."""
    return not set(INSTALLED) & {*file.parts}


def is_own_code(module: str) -> bool:
    """Return whether an imported module is code of the user's own: neither installed, nor part of Python or nowt. A
    script and a notebook, whose name is ``__main__``, are."""
    top = module.partition(".")[0]
    if module not in sys.modules or top in sys.stdlib_module_names or top in OWN:
        return False
    file = vars(sys.modules[module]).get("__file__")
    return is_local_file(Path(file)) if isinstance(file, str) else module == "__main__"


def _child(name: str, parent: ModuleSpec | None) -> ModuleSpec | None:
    locations = parent.submodule_search_locations if parent is not None else None
    return None if locations is None else PathFinder.find_spec(name, list(locations))


def _package(name: str, file: Path) -> str:
    return name if file.name == "__init__.py" else name.rpartition(".")[0]


def _prefixes(name: str) -> Iterator[str]:
    """Yield ``a``, ``a.b`` and ``a.b.c`` for ``a.b.c``."""
    parts = name.split(".")
    yield from (".".join(parts[: n + 1]) for n in range(len(parts)))
