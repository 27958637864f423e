"""Which code is that of a custom rule, and not of the model."""

import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import CodeType

from torch import nn

from nowt.core.plugins import module_source
from nowt.rules.base import Rule


def is_code_of(rule: Rule, model: nn.Module) -> Callable[[CodeType], bool]:
    """Return a function that tells whether code belongs to a custom rule: its file, and local modules that it imports.

    What the model's code imports as well is not the rule's. If a file defines both, that of the model's classes is not.
    """
    classes = {type(module) for module in model.modules()}
    own, files = _files(type(rule).__mro__), _files_with_imports(type(rule).__mro__)
    others = _files_with_imports(classes)
    names = {kind.__qualname__.partition(".")[0] for kind in classes}
    resolved = cache(lambda name: Path(name).resolve())

    def belongs(code: CodeType) -> bool:
        file = resolved(code.co_filename)
        if file not in files:
            return False
        return file not in others or (file in own and code.co_qualname.partition(".")[0] not in names)

    return belongs


def _files(classes: Iterable[type]) -> set[Path]:
    modules = (sys.modules.get(kind.__module__) for kind in classes if not _is_library(kind))
    return {Path(file).resolve() for module in modules if (file := getattr(module, "__file__", None))}


def _files_with_imports(classes: Iterable[type]) -> set[Path]:
    kinds = [kind for kind in classes if not _is_library(kind)]
    sources = [module_source(sys.modules[name]) for name in {kind.__module__ for kind in kinds} if name in sys.modules]
    imported = {file.resolve() for source in sources if source is not None for file in source.files}
    return _files(kinds) | imported


def _is_library(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("nowt", "torch", "torchvision", "builtins", "abc")
