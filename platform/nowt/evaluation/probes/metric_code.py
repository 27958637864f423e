"""The identity of a metric's code: of everything that its numbers are computed with and that no run key contains.

- *Counted*: the metric's own code, and the modules of nowt that compute something and that this code imports, directly
  or not. Of nowt's probes themselves, the modules in ``PROBES``.
- *Not counted*: comments, formatting and docstrings, as in run keys. The network, its rule and the images: a run whose
  key has another version of them is refused.
"""

import hashlib
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from nowt.core.imports import OWN, local_module
from nowt.core.plugins import module_source
from nowt.core.source_hash import package_versions
from nowt.core.syntax_tree import imported_names, tree_digest

COMPUTING = ("data", "evaluation", "layers", "models", "rules", "training")  # the others compute no number of a metric

PROBES = ("nowt.evaluation.probes.network", "nowt.evaluation.probes.run")  # choose the batch, and call the metric

ROOT = Path(__file__).parents[3]  # the folder that contains the package nowt


def metric_digest(module: ModuleType) -> str:
    """Return 12 hexadecimal digits that identify the code of a metric in ``module``.

    Of an installed package, the file and the version of the package count. Raises ConfigError if a module that the code
    imports was edited after its import.
    """
    source = module_source(module)
    files = source.files if source else tuple(filter(None, [_file_of(module)]))
    package = module.__name__.partition(".")[0]
    versions = {} if source or package in OWN else package_versions((package,))
    own = source.digest if source else [tree_digest(file.read_bytes()) for file in files]
    used = {name: tree_digest(file.read_bytes()) for name, file in _modules_used(files)}
    used |= {name: tree_digest(_module(name).read_bytes()) for name in PROBES}
    return hashlib.sha256(repr((own, sorted(versions.items()), sorted(used.items()))).encode()).hexdigest()[:12]


def _file_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return None if file is None or not file.endswith(".py") else Path(file)


def _modules_used(files: Iterable[Path]) -> list[tuple[str, Path]]:
    """Return the modules of nowt that these files import, and those that they import, by name and file."""
    found, queue = dict[str, Path](), [(file, "") for file in files]
    while queue:
        file, package = queue.pop()
        names = imported_names(file.read_bytes(), package)
        for name in (module for each in names for module in _computing(each.lstrip(".~"))):
            if name not in found:
                found[name] = _module(name)
                queue.append((found[name], name.rpartition(".")[0]))
    return list(found.items())


def _computing(name: str) -> Iterator[str]:
    """Yield the modules that an import of ``name`` uses, if they compute something: that of which it is an object."""
    parts = name.split(".")
    public: dict[str, str] = import_module("nowt").MODULE_OF
    if parts[0] != "nowt":
        return
    if len(parts) == 1 or parts[1] == "*":  # ``import nowt``: any of its public names
        yield from (module for module in public.values() if module.split(".")[1] in COMPUTING)
    elif parts[1] in public:  # ``from nowt import attach``
        yield from _computing(public[parts[1]])
    elif parts[1] in COMPUTING:
        candidates = (".".join(parts[:n]) for n in range(len(parts), 1, -1))
        yield from [each for each in candidates if (file := local_module(ROOT, each)) and file.is_file()][:1]


def _module(name: str) -> Path:
    file = local_module(ROOT, name)
    assert file is not None  # a module of nowt
    return file
