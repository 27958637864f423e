"""Checks the JSON data of a store's files against tables of fields and types."""

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from nowt.core.errors import UserError
from nowt.core.formatting import is_one_line, printable
from nowt.store.layout import is_plain
from nowt.store.names import METRIC_NAME, RUN_KEY, STUDY_KEY, NamePattern

LARGEST = 2**63  # integers are smaller, as in databases and frames

LATEST = 253_402_300_799_999  # milliseconds since 1970: the end of year 9999

CONTAINERS = frozenset((dict, list))

SHOWN = 40  # characters of a value in a message


@dataclass(frozen=True)
class Kind:
    """A type of JSON values, as a message names it."""

    name: str
    accepts: Callable[[Any], bool]

    def or_null(self) -> "Kind":
        """Return the kind that also accepts null."""
        return Kind(f"{self.name} or null", lambda value: value is None or self.accepts(value))


Table = Mapping[str, "Kind | Table"]  # by field; a table for an object


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_list(value: Any) -> bool:
    return type(value) in (list, tuple)


def _is_object(value: Any) -> bool:
    return type(value) is dict


def _is_line(value: Any) -> bool:
    return type(value) is str and is_one_line(value)


def _is_number(value: Any) -> bool:
    return _is_integer(value) or (type(value) is float and math.isfinite(value))


def _is_integer(value: Any) -> bool:
    return type(value) is int and -LARGEST <= value < LARGEST


def is_deep(value: Any, limit: int) -> bool:
    """Return whether lists and objects are nested more than ``limit`` times, as nothing that nowt writes is."""
    level = [value]
    for _ in range(limit):
        level = [inner for outer in level for inner in _containers(outer)]
        if not level:
            return False
    return True


def _containers(value: Any) -> list[Any]:
    """Return the lists and objects in a list or an object; of another value, none."""
    if type(value) not in CONTAINERS:
        return []
    found = value.values() if type(value) is dict else value
    if CONTAINERS.isdisjoint(map(type, found)):  # of most, such as the many layers in a log
        return []
    return [inner for inner in found if type(inner) in CONTAINERS]


def each(kind: Kind) -> Kind:
    """Return the kind of a list of such values."""
    return Kind(f"a list, each {kind.name}", lambda found: _is_list(found) and all(map(kind.accepts, found)))


def values(kind: Kind) -> Kind:
    """Return the kind of an object with such values."""
    accepts = kind.accepts
    name = f"an object, each value {kind.name}"
    return Kind(name, lambda found: _is_object(found) and all(map(accepts, found.values())))


TEXT = Kind("text", _is_text)

LINE = Kind("text without line breaks, control or invisible characters", _is_line)

INTEGER = Kind("a whole number", _is_integer)

TIME = Kind("a time in milliseconds since 1970", lambda value: _is_integer(value) and 0 <= value <= LATEST)

COUNT = Kind("a whole number from 0", lambda value: _is_integer(value) and value >= 0)

NUMBER = Kind("a number", _is_number)

BOOLEAN = Kind("true or false", lambda value: type(value) is bool)

OBJECT = Kind("an object", _is_object)

LIST = Kind("a list", _is_list)


def named(pattern: NamePattern) -> Kind:
    """Return the kind of names that match a pattern of ``nowt.store.names``."""
    return Kind(pattern.noun, pattern.matches)


def one_of(*words: str) -> Kind:
    """Return the kind of these words."""
    return Kind(f"one of {', '.join(words)}", lambda value: type(value) is str and value in words)


RUN = named(RUN_KEY)

STUDY = named(STUDY_KEY)

METRIC = named(METRIC_NAME)

NAME = Kind(
    "a name without slashes that does not begin with a dot", lambda value: type(value) is str and is_plain(value)
)


def check_object(data: Any, table: Table, required: Collection[str] = (), place: str = "") -> dict[str, Any]:
    """Return ``data`` if it is an object that has the ``required`` fields, and whose fields have the types in
    ``table``. Fields that are not in the table are not checked.

    Raises ValueError that names the field, after ``place``: ``runs[3].seed is "x": it must be a whole number``.
    """
    if not _is_object(data):
        raise UserError(f"{place.rstrip('.') or 'it'} is {shown(data)}: it must be an object")
    if missing := sorted(set(required) - data.keys()):
        raise UserError(f"{place.rstrip('.') or 'it'} has no {', '.join(missing)}")
    for name, kind in table.items():
        if name not in data:
            continue
        if not isinstance(kind, Kind):
            check_object(data[name], kind, kind, f"{place}{name}.")
        elif not kind.accepts(data[name]):
            raise UserError(f"{place}{name} is {shown(data[name])}: it must be {kind.name}")
    return dict(data)


def known_fields(data: Any, table: Table, required: Collection[str]) -> dict[str, Any]:
    """Return the fields of ``data`` that are in ``table``, checked as by ``check_object``. Raises ValueError."""
    return {name: value for name, value in check_object(data, table, required).items() if name in table}


def check_objects(data: Any, table: Table, required: Collection[str], place: str) -> None:
    """Check each object of a list as ``check_object`` does. Raises ValueError."""
    if not _is_list(data):
        raise UserError(f"{place} is {shown(data)}: it must be a list")
    for number, item in enumerate(data):
        check_object(item, table, required, f"{place}[{number}].")


def shown(value: Any) -> str:
    """Return the value as JSON text of at most 40 characters."""
    text = printable(json.dumps(value, ensure_ascii=False, default=repr))
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
