"""Loads custom rules, models and studies from files or modules."""

import importlib
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from nowt.core.errors import ConfigError, did_you_mean, require
from nowt.core.exits import NO_FAILURES, Exits, describe_exit, no_exit_on_import
from nowt.core.file_systems import encoding_problem
from nowt.core.imports import OWN, PREFIX, load, load_inner, root_of
from nowt.core.source_hash import Source, is_local_file, read_source, read_texts
from nowt.core.syntax_tree import tree_digest

ROOT = "/./"  # in the path of a module of a package: it follows the folder that contains the package

NAMED: set[str] = set()  # the files and ``module:NAME`` that this process was asked to import

# after the name of a module of nowt that does not exist, as in files written for an earlier version
MOVED = "; import nowt's public names from nowt itself, as in `from nowt import FeedbackAlignment`"


def load_object(spec: str, attribute: str | None = None) -> Any:
    """Return the object that ``spec`` names: ``FILE.py:NAME``, ``module:NAME``, or ``FILE.py`` for its ``attribute``.

    Raises ConfigError for a spec without a name, a missing file, module or name, and for a file or module that cannot
    be imported.
    """
    place, _, name = split_spec(existing_spec(spec))
    name = name or (attribute or "" if place.endswith(".py") else "")
    if not place or not name:
        raise ConfigError(f"cannot load {spec!r}: expected FILE.py:NAME or module:NAME")
    module = module_of(spec)
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
    except SystemExit as error:
        raise ConfigError(describe_exit(error, spec)) from error
    except NO_FAILURES:
        raise
    except BaseException as error:
        raise ConfigError(f"{spec} failed: {type(error).__name__}: {error}") from error
    if not isinstance(found, kind):
        raise ConfigError(f"{spec} returned a {type(found).__name__}: it must return a nowt {kind.__name__}")
    return found


def load_module(place: Path | str) -> ModuleType:
    """Import a file, whose path is relative to the working folder or absolute, and return the module.

    It can import the modules in its folder; a module of a package (``FOLDER/./package/FILE.py``) those in ``FOLDER``
    and in its package. Objects of its classes can be pickled, the same code gives the same classes, and a file is
    loaded again when it, or a local module that it imports, has been edited.

    Raises ConfigError for a missing file, and for one that cannot be imported, with its exception.
    """
    path = Path(place)
    if not path.is_file():
        raise ConfigError(f"there is no file {path} (looked in {path.absolute().parent})")
    require(not (problem := encoding_problem(str(place))), problem)
    folder, is_inner, inner = str(place).partition(ROOT)
    try:
        with no_exit_on_import(str(path)):
            if is_inner:
                return load_inner(Path(folder).resolve(), Path(inner), read_texts)
            file = path.resolve()  # as a script, it imports from the folder of the file, not of a link to it
            return load(file, file.parent, read_texts)
    except Exits as error:
        raise ConfigError(str(error)) from error
    except ConfigError as error:  # already a message of one line
        raise ConfigError(f"{path}: {error}") from None
    except NO_FAILURES:
        raise
    except BaseException as error:
        hint = MOVED if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("nowt.") else ""
        raise ConfigError(f"{path} cannot be imported: {type(error).__name__}: {error}{hint}") from error


def is_file_spec(spec: str) -> bool:
    """Return whether ``spec`` is ``FILE.py`` or ``FILE.py:NAME``."""
    return spec.endswith(".py") or spec.rpartition(":")[0].endswith(".py")


def absolute_spec(spec: str) -> str:
    """Return ``FILE.py`` or ``FILE.py:NAME`` with the file's absolute path; any other ``spec`` as it is.

    A relative path that a custom file names is relative to the folder of that file, any other to the working folder.
    """
    if not is_file_spec(spec):
        return spec
    place, colon, name = split_spec(spec)
    if ROOT in place and Path(place).is_absolute():
        return spec
    return os.path.normpath((_naming_folder() or Path.cwd()) / Path(place).expanduser()) + colon + name


def existing_spec(spec: str) -> str:
    """Return ``absolute_spec``. Raises ConfigError if it names a file that does not exist."""
    whole = absolute_spec(spec)
    if is_file_spec(whole) and not (path := Path(split_spec(whole)[0])).is_file():
        beside = "" if _naming_folder() is None else ", since the path is relative to the file that names it"
        raise ConfigError(f"there is no file {split_spec(spec)[0]} (looked in {path.parent}{beside})")
    return whole


def file_label(spec: str) -> str:
    """Return ``FILE.py`` or ``FILE.py:NAME`` without the file's folder; any other ``spec`` as it is."""
    place, colon, name = split_spec(spec)
    return f"{Path(place).name}{colon}{name}" if is_file_spec(spec) else spec


def file_labels(specs: Iterable[str]) -> dict[str, str]:
    """Return a label for each spec: its ``file_label``, or the spec itself where two files have the same name."""
    distinct = set(specs)
    counts = Counter(map(file_label, distinct))
    return {spec: label if counts[label := file_label(spec)] == 1 else spec for spec in distinct}


def split_spec(spec: str) -> tuple[str, str, str]:
    """Return file or module, colon and name; without a name, the last two are empty."""
    return (spec, "", "") if spec.endswith(".py") else spec.rpartition(":")


def _naming_folder() -> Path | None:
    """Return the folder of the custom file whose code is running; None if there is none."""
    frame = sys._getframe(1)
    while frame is not None and not str(frame.f_globals.get("__name__")).startswith(PREFIX):
        frame = frame.f_back  # type: ignore[assignment]  # None at the end
    return None if frame is None else Path(frame.f_globals["__file__"]).parent


def source_of(spec: str) -> Source | None:
    """Return the identity of the code that ``FILE.py:NAME`` or ``module:NAME`` names; None for an installed module.

    The code is imported first, since it may extend ``sys.path``. Raises ConfigError if that fails.
    """
    return module_source(module_of(spec))


def is_imported(spec: str) -> bool:
    """Return whether this process has imported, or tried to, the code that ``FILE.py:NAME`` or ``module:NAME`` names:
    the file, or exactly this name of a module. It has if a study or the command line names it, and not if only a store
    does."""
    if not is_file_spec(spec):
        return spec in NAMED
    file = os.path.realpath(split_spec(absolute_spec(spec))[0])
    if file in NAMED:
        return True
    files = (getattr(each, "__file__", None) for each in [*sys.modules.values()] if isinstance(each, ModuleType))
    return any(name is not None and os.path.realpath(name) == file for name in files)


def module_of(spec: str) -> ModuleType:
    """Return the module that ``FILE.py:NAME`` or ``module:NAME`` names. Raises ConfigError if it cannot be imported."""
    place = split_spec(existing_spec(spec))[0]
    NAMED.add(os.path.realpath(place) if place.endswith(".py") else spec)
    return load_module(place) if place.endswith(".py") else _installed(place)


def module_source(module: ModuleType) -> Source | None:
    """Return the identity of a module's code; None for an installed one, and for one that has no file.

    Raises ConfigError if a module that its code imports from ``sys.path`` was edited after its import: Python does not
    import it again, so that the code that runs is not that in the files.
    """
    file, name = getattr(module, "__file__", None), module.__name__
    root = root_of(name)
    if file is None or (root is None and (name.partition(".")[0] in OWN or not is_local_file(Path(file)))):
        return None
    source = read_source(Path(file), root, _package_of(module))
    _check_imported(source.files)
    return source


def place_of(module: ModuleType) -> str:
    """Return the path by which ``load_module`` finds a module again, which a file may have imported from a package."""
    file, package = Path(str(module.__file__)), _package_of(module)
    root = file.parents[package.count(".") + 1] if package else file.parent
    return f"{root}{ROOT}{file.relative_to(root)}" if package else str(file)


def _package_of(module: ModuleType) -> str:
    """Return the name of the package that contains a module, as seen from the folder that contains the package."""
    package = module.__package__ or ""
    if root_of(module.__name__) is None:
        return package
    top, _, inner = package.partition(".")  # the first is that in ``sys.modules``
    folders = getattr(sys.modules.get(top), "__path__", None)
    return ".".join(filter(None, (Path(folders[0]).name, inner))) if folders else ""


def _check_imported(files: Iterable[Path]) -> None:
    """Raise ConfigError if Python has imported one of these files, and its code has changed since its first check."""
    modules = {vars(each).get("__file__"): each for each in [*sys.modules.values()] if isinstance(each, ModuleType)}
    for file in files:
        module = modules.get(str(file))
        if module is None or module.__spec__ is None or module.__name__.startswith(PREFIX):
            continue
        code = tree_digest(file.read_bytes())
        # in the spec, which importlib.reload replaces
        if module.__spec__.__dict__.setdefault("nowt_code", code) != code:
            raise ConfigError(f"{file} has changed since {module.__name__} was imported: start Python again")


def _installed(name: str) -> ModuleType:
    try:
        with no_exit_on_import(name):
            return importlib.import_module(name)
    except Exits:
        raise
    except NO_FAILURES:
        raise
    except BaseException as error:
        problem = f"{type(error).__name__}: {error}"
        raise ConfigError(f"module {name} cannot be imported: {problem} (a file is given as FILE.py:NAME)") from error
