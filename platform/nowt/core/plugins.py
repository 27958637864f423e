"""Loads custom rules, models and studies from files or modules."""

import hashlib
import importlib
import importlib.util
import sys
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from nowt.core.errors import ConfigError, did_you_mean

# what importing a custom file may raise; other exceptions keep their traceback
IMPORT_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


PREFIX = "nowt_own_"  # of the module names of custom files


def load_object(spec: str, attribute: str | None = None) -> Any:
    """Return the object that ``spec`` names: ``FILE.py:NAME``, ``module:NAME``, or ``FILE.py`` for its ``attribute``.

    Raises ConfigError for a spec without a name, a missing file, module or name, and for a file or module that cannot
    be imported.
    """
    place, _, name = (spec, "", attribute) if spec.endswith(".py") else spec.rpartition(":")
    if not place or not name:
        raise ConfigError(f"cannot load {spec!r}: expected FILE.py:NAME or module:NAME")
    module = load_module(Path(place)) if place.endswith(".py") else _installed(place)
    if not hasattr(module, name):
        raise ConfigError(f"{place} defines no {name!r}{did_you_mean(name, _names_in(module))}{_advice(spec, name)}")
    return getattr(module, name)


def _names_in(module: ModuleType) -> list[str]:
    """Return the public names of a module; of a file, only those that it defines itself."""
    names = [name for name in vars(module) if not name.startswith("_")]
    if not module.__name__.startswith(PREFIX):
        return names
    return [name for name in names if getattr(getattr(module, name), "__module__", None) in (None, module.__name__)]


def _advice(spec: str, name: str) -> str:
    """Return what to do if ``FILE.py`` lacks the attribute that is looked up in it."""
    return f"; define {name!r} in it, or name another object: {spec}:NAME" if spec.endswith(".py") else ""


def call_factory(spec: str, function: Any, kind: type, *given: Any) -> Any:
    """Call the ``function`` that ``spec`` names. Raises ConfigError if it raises, or does not return a ``kind``."""
    try:
        found = function(*given)
    except ConfigError:
        raise
    except IMPORT_FAILURES as error:
        raise ConfigError(f"{spec} failed: {type(error).__name__}: {error}") from error
    if not isinstance(found, kind):
        raise ConfigError(f"{spec} returned a {type(found).__name__}: it must return a nowt {kind.__name__}")
    return found


def load_module(path: Path) -> ModuleType:
    """Import the file ``path``, relative to the working folder or absolute, and return the module.

    Its name in ``sys.modules`` depends on the file's path and text. So objects of its classes can be pickled, the same
    file gives the same classes, and an edited file is loaded again.

    Raises ConfigError for a missing file, and for one that cannot be imported, with its exception.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path} (looked in {path.absolute().parent})")
    name = PREFIX + hashlib.sha256(str(path.resolve()).encode() + path.read_bytes()).hexdigest()[:12]
    if name not in sys.modules:
        _run(path, name)
    return sys.modules[name]


def _run(path: Path, name: str) -> None:
    """Import the file as ``name``. If that fails, ``sys.modules`` is left unchanged."""
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None  # a file ending in .py always has a loader
    module = importlib.util.module_from_spec(spec)
    with ExitStack() as undo:
        sys.modules[name] = module  # before it runs, since dataclasses look up their module
        undo.callback(sys.modules.pop, name)
        try:
            spec.loader.exec_module(module)
        except ConfigError as error:  # already a message of one line
            raise ConfigError(f"{path}: {error}") from None
        except IMPORT_FAILURES as error:
            raise ConfigError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
        undo.pop_all()


def _installed(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except IMPORT_FAILURES as error:
        problem = f"{type(error).__name__}: {error}"
        raise ConfigError(f"module {name} cannot be imported: {problem} (a file is given as FILE.py:NAME)") from error
