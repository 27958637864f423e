"""Finds the variables that the code of a custom rule uses, but that belong to none of its objects.

Such a variable is a global of the rule's file or of a helper module, an attribute of a class or a function, a default
value, or a variable of the function around a local class. No checkpoint contains it. Only variables that the code names
are found: others of the same file, such as the loop variables of a script, may change.
"""

import dis
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import cache, cached_property, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from nowt.core.source_hash import is_own_code
from nowt.rules.base import Rule

GLOBAL = ("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME")

ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR")

BETWEEN = ("CACHE", "COPY", "PRECALL")  # instructions that may follow one that reads a global

NOT_FOLLOWED = ("nowt", "torch", "builtins", "abc")  # packages

Found = dict[str, Any]

Names = tuple[str, tuple[str, ...]]  # a global, and the attributes that the code reads from it: a.b.c


def outside_variables(rule: Rule, attributes: Mapping[str, Any]) -> Found:
    """Return the values of these variables, by a description of each. Rules of nowt have none.

    ``attributes`` are those of the rule and of its layers, by a description of each, since they may be functions.
    """
    search = _Search({kind.__module__.partition(".")[0] for kind in type(rule).__mro__} - {*NOT_FOLLOWED})
    for kind in type(rule).__mro__:
        search.visit_class(kind)
    for where, value in attributes.items():
        if any(_functions(value)):
            search.visit(where, value)
    return search.found


class _Search:
    """Follows functions, classes and modules of the user's own, or of the packages that contain the rule's classes."""

    def __init__(self, packages: set[str]) -> None:
        self.packages = packages
        self.found: Found = {}
        self.visited: set[int] = set()

    def visit_class(self, kind: type) -> None:
        if self._is_new(kind, kind.__module__):
            for name, value in vars(kind).items():
                is_data = not (name.startswith("__") or issubclass(kind, Enum))
                if is_data or any(_functions(value)):
                    self.visit(f"class attribute {name!r} of {kind.__qualname__}", value)

    def visit_function(self, function: FunctionType) -> None:
        if not self._is_new(function, function.__module__ or ""):
            return
        where = f"of {function.__qualname__}"
        for name, value in _closure(function):
            self.visit(f"variable {name!r} around {function.__qualname__}", value)
        for name, value in _defaults(function):
            self.visit(f"default {name!r} {where}", value)
        for name, value in vars(function).items():
            self.visit(f"attribute {name!r} {where}", value)
        for code in _codes(function.__code__):
            for names in _global_names(code):
                self._visit_global(function, names, code)

    def _visit_global(self, function: FunctionType, names: Names, code: CodeType) -> None:
        """Visit a global, or what the code reads from it if it is a module."""
        first, attributes = names
        if first not in function.__globals__:
            return
        module, value = function.__module__, function.__globals__[first]
        while isinstance(value, ModuleType) and attributes:
            module, first, attributes = value.__name__, attributes[0], attributes[1:]
            if first not in vars(value) or not self._is_followed(module):
                return
            value = vars(value)[first]
        if isinstance(value, ModuleType):  # it is given another name, so any of its variables may be meant
            self._visit_module(value, code.co_names)
        else:
            self.visit(f"variable {first!r} {_shown(module)}", value)

    def _visit_module(self, module: ModuleType, names: Iterable[str]) -> None:
        if self._is_followed(module.__name__):
            for name in names:
                if name in vars(module):
                    self.visit(f"variable {name!r} {_shown(module.__name__)}", vars(module)[name])

    def visit(self, where: str, value: Any) -> None:
        """Keep a value, or follow what it contains."""
        functions = list(_functions(value))
        for function in functions:
            self.visit_function(function)
        if isinstance(value, type):
            self.visit_class(value)
        elif not (isinstance(value, ModuleType) or functions) or isinstance(value, partial | MethodType):
            self._keep(where, value)

    def _keep(self, where: str, value: Any) -> None:
        if isinstance(value, partial):
            value = value.args, value.keywords
        elif isinstance(value, MethodType):
            value = value.__self__
        names = (where if n == 1 else f"{where} ({n})" for n in itertools.count(1))  # two functions may have one name
        self.found[next(n for n in names if n not in self.found or self.found[n] is value)] = value
        self.visit_class(type(value))
        for item in filter(callable, _items(value)):
            for function in _functions(item):
                self.visit_function(function)

    def _is_new(self, value: Any, module: str) -> bool:
        new = id(value) not in self.visited and self._is_followed(module)
        self.visited.add(id(value))
        return new

    def _is_followed(self, module: str) -> bool:
        top = module.partition(".")[0]
        return top not in NOT_FOLLOWED and (top in self.packages or is_own_code(module))


CACHED = type(cache(lambda: None))  # what functools.cache and lru_cache return


def _functions(value: Any) -> Iterator[FunctionType]:
    """Yield the functions in a descriptor, a method, a partial, or what wraps a function."""
    if isinstance(value, FunctionType):
        yield value
    elif isinstance(value, property):
        parts: tuple[Callable[..., Any] | None, ...] = (value.fget, value.fset, value.fdel)
        yield from (function for part in parts for function in _functions(part))
    elif isinstance(value, staticmethod | classmethod | MethodType):
        yield from _functions(value.__func__)
    elif isinstance(value, cached_property | partial):
        yield from _functions(value.func)
    elif isinstance(value, CACHED):
        yield from _functions(value.__wrapped__)


def _closure(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not set yet
            continue


def _defaults(function: FunctionType) -> Iterator[tuple[str, Any]]:
    values = function.__defaults__ or ()
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    yield from zip(names[len(names) - len(values) :], values, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function and of those defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


@cache
def _global_names(code: CodeType) -> list[Names]:
    """Return the globals that the code uses."""
    steps = [each for each in dis.get_instructions(code) if each.opname not in BETWEEN]
    found = []
    for at, step in enumerate(steps):
        if step.opname in GLOBAL:
            attributes = itertools.takewhile(lambda each: each.opname in ATTRIBUTE, steps[at + 1 :])
            found.append((step.argval, tuple(each.argval for each in attributes)))
    return list(dict.fromkeys(found))


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple | set | frozenset) else ()


def _shown(module: str | None) -> str:
    """Return the name of a module's file, since nowt loads custom files under names of its own."""
    file = getattr(sys.modules.get(module or ""), "__file__", None)  # only of followed modules
    return f"of {Path(file).name}" if file else "of this session"
