"""Local modules: the files that a custom file imports from its own folder, and how they are imported.

A custom file imports the modules in its folder as a script does, but nothing is added to ``sys.path``. Each file is
loaded under a name of its own, so that two folders can have modules of the same name.
"""

import builtins
import hashlib
import importlib
import importlib.util
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

PREFIX = "nowt_own_"  # of the names of custom files in ``sys.modules``

INSTALLED = ("site-packages", "dist-packages")  # folders of installed packages

OWN = ("nowt", "analysis", "searchspaces")  # nowt's own packages; versions and numerics identify their code


def local_module(root: Path, name: str) -> Path | None:
    """Return the file of module ``name`` (dotted) below ``root``, or its folder if it is a package without
    ``__init__.py``; None if there is none."""
    base = root.joinpath(*name.split("."))
    for file in (base / "__init__.py", base.with_name(f"{base.name}.py")):
        if file.is_file() and not set(INSTALLED) & {*file.relative_to(root).parts}:
            return file
    has_modules = base.is_dir() and any(any(base.glob(pattern)) for pattern in ("*.py", "*/*.py"))
    return base if has_modules else None


def is_local(root: Path, name: str, importer: str) -> bool:
    """Return whether file ``importer`` (its stem) in ``root`` imports ``name`` from ``root``.

    The standard library and nowt come first. A file does not import itself, so that ``timm.py`` can import the package
    ``timm``. A folder without ``__init__.py`` comes after installed packages, as in Python.
    """
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in OWN or top == importer:
        return False
    found = local_module(root, top)
    return found is not None and (found.suffix == ".py" or not has_code(installed_spec(top)))


def has_code(spec: ModuleSpec | None) -> bool:
    """Return whether a module is more than a folder."""
    return spec is not None and spec.origin is not None


def installed_spec(top: str) -> ModuleSpec | None:
    """Return where Python finds the top-level module ``top``; None if it does not. Imports nothing."""
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None


Texts = dict[Path, str]  # hash of the text of each file

Read = Callable[[Path, Path], Texts]

_COPIES = itertools.count(1)


def load(path: Path, root: Path, read: Read, copy: int = 0) -> ModuleType:
    """Import ``path``, a file or a package without ``__init__.py``, whose imports are looked up in ``root`` first. Both
    are absolute.

    ``read`` returns the texts of the file and of the local modules that it imports, a hash of which becomes part of its
    name. So the same code gives the same classes, and edited code is loaded again. Each number ``copy`` gives classes
    and module variables of its own, also those of the local modules. Raises what the file raises; then ``sys.modules``
    is left unchanged.
    """
    lookup = Lookup(path, root, read, read(path, root), copy)
    name = _name(path, root, lookup.texts, copy)
    if name in sys.modules:
        return _imported(name)
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    _FINDER.lookups[name] = lookup
    module = _imported(name)
    if lookup.is_current():  # it may have extended ``sys.path``, so that more modules are found the next time
        sys.modules.setdefault(_name(path, root, read(path, root), copy), module)
    return module


def load_copy(name: str) -> ModuleType:
    """Run a loaded custom file, given by the name of its module, once more, with the local modules that it imports, and
    return the new module, which shares no variable of theirs. Raises what the file raises."""
    top, _, inner = name.partition(".")
    lookup = _lookup_of(top)
    lookup.check()
    module = load(lookup.place, lookup.root, lookup.read, next(_COPIES))
    return importlib.import_module(f"{module.__name__}.{inner}") if inner else module


def _imported(name: str) -> ModuleType:
    """Return the module of this name. Python's own import locks it: one thread runs the file, and others wait for the
    end, so that none gets a module that is only half run. Of files that import each other, none waits for ever."""
    while True:
        module: ModuleType = builtins.__import__(name)
        if sys.modules.get(name) is module:  # else it failed in another thread, and fails here, too
            return module


def load_inner(root: Path, inner: Path, read: Read) -> ModuleType:
    """Import a file of a package, given by its path relative to ``root``, as a file in ``root`` would import it."""
    top, *names = inner.with_suffix("").parts
    path = local_module(root, top)
    if path is None:
        raise ModuleNotFoundError(f"No module named {top!r} in {root}", name=top)
    module = load(path, root, read)
    return importlib.import_module(".".join([module.__name__, *(name for name in names if name != "__init__")]))


def _name(path: Path, root: Path, texts: Texts, copy: int) -> str:
    """Return the name in ``sys.modules`` of a file with these texts."""
    text = "\n".join(text for _, text in sorted(texts.items()))
    return PREFIX + hashlib.sha256(f"{path}\n{root}\n{text}\n{copy}".encode()).hexdigest()[:12]


def text_digest(file: Path) -> str:
    """Return a hash of the text of a file; empty if it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def _spec(name: str, lookup: "Lookup") -> ModuleSpec:
    place = lookup.place
    if place.is_dir():
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(place)]
    else:
        folders = [str(place.parent)] if lookup.is_package else None
        loader = _Loader(name, str(place), lookup)
        found = importlib.util.spec_from_file_location(name, place, loader=loader, submodule_search_locations=folders)
        assert found is not None  # a loader is given
        spec = found
    spec.loader_state = lookup
    return spec


@dataclass
class Lookup:
    """Where the imports of a file, or of the files of a package, are looked up.

    A module that is imported for the first time in the middle of training must have the text that was hashed when the
    file was loaded: otherwise numbers of the edited code would count as those of the former one.
    """

    place: Path  # the file, or the folder of a package without ``__init__.py``
    root: Path  # the folder that comes before ``sys.path``
    read: Read
    texts: Texts  # when it was loaded
    copy: int = 0  # of the file, and so of the modules that it imports
    modules: dict[str, ModuleType] = field(default_factory=dict)  # of ``root``, that it has imported

    @property
    def is_package(self) -> bool:
        """Whether it is a package. ``__init__.py`` that a user names as a file is looked up in its own folder."""
        return self.place.is_dir() or (self.place.name == "__init__.py" and self.place.parent != self.root)

    @property
    def stem(self) -> str:
        """The file's name, which it does not import itself; empty for a package."""
        return "" if self.is_package else self.place.stem

    def find(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """Import as ``__import__`` does, with modules of ``root`` first."""
        if level and not self.is_package:
            return self._relative(name, fromlist or (), level)
        if level or not is_local(self.root, name, self.stem):
            if not level and name not in sys.modules and self._was_read(name):
                self.check()
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        return self._local(name, fromlist or ())

    def _local(self, name: str, fromlist: Sequence[str]) -> Any:
        top = name.partition(".")[0]
        alias = self._load(top).__name__
        try:
            return builtins.__import__(alias + name[len(top) :], None, None, fromlist, 0)
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith(alias):
                raise
            missing = top + (error.name or "")[len(alias) :]
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing) from None

    def _relative(self, name: str, fromlist: Sequence[str], level: int) -> Any:
        """Import ``from . import a`` or ``from .a import b`` in a file, whose folder counts as its package."""
        if level > 1:
            raise ImportError(f"relative import beyond the folder {self.root}")
        if name:
            self._load(name.partition(".")[0])
            return self._local(name, fromlist)
        return SimpleNamespace(**{each: self._load(each) for each in fromlist})

    def _load(self, top: str) -> ModuleType:
        if top in self.modules:
            return self.modules[top]
        path = local_module(self.root, top)
        if path is None:
            raise ModuleNotFoundError(f"No module named {top!r} in {self.root}", name=top)
        self.check()
        self.modules[top] = load(path, self.root, self.read, self.copy)
        return self.modules[top]

    def _was_read(self, name: str) -> bool:
        """Return whether ``texts`` contains files of the module or package ``name`` on ``sys.path``."""
        spec = installed_spec(name.partition(".")[0])
        places = () if spec is None else (spec.origin, *(spec.submodule_search_locations or ()))
        return any(file.is_relative_to(place) for place in filter(None, places) for file in self.texts)

    def check(self) -> None:
        """Raise ImportError if the file, or a module that it imports, has been edited since it was loaded."""
        if not self.is_current():
            raise ImportError(f"{self.place.name} or a module that it imports has changed since it was loaded")

    def is_current(self) -> bool:
        """Return whether no text has changed."""
        return all(text_digest(file) == text for file, text in self.texts.items())


class _Loader(SourceFileLoader):
    """Runs a file with an ``__import__`` of its own. Python's ``.pyc`` cache is not used: it compares times and sizes,
    and would run an earlier text of a file that was edited twice within a second."""

    def __init__(self, fullname: str, path: str, lookup: Lookup) -> None:
        super().__init__(fullname, path)
        self.lookup = lookup

    def get_code(self, fullname: str) -> CodeType | None:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        # every import statement of the file, also inside functions, calls this; other modules' are not affected
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self.lookup.find}
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds the files that ``load`` imports and the modules inside local packages, and nothing else."""

    def __init__(self) -> None:
        self.lookups: dict[str, Lookup] = {}  # by the name of the module; ``load`` adds them

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a file that ``load`` imports, or of a module in a package that it has imported."""
        if path is None:
            return _spec(fullname, self.lookups[fullname]) if fullname in self.lookups else None
        if not fullname.startswith(PREFIX):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            lookup = _lookup_of(fullname)
            lookup.check()
            spec.loader = _Loader(fullname, spec.loader.path, lookup)
        return spec


_FINDER = _Finder()


def _lookup_of(fullname: str) -> Lookup:
    spec = sys.modules[fullname.partition(".")[0]].__spec__
    assert spec is not None and isinstance(spec.loader_state, Lookup)
    return spec.loader_state


def root_of(module: str) -> Path | None:
    """Return the folder in which a loaded custom file looks up its imports; None for any other module."""
    return _lookup_of(module).root if module.startswith(PREFIX) and module.partition(".")[0] in sys.modules else None
