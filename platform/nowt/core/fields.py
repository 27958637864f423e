"""Builds frozen dataclasses from plain data, checking each field, and flattens nested settings."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from nowt.core.errors import ConfigError, did_you_mean

T = TypeVar("T")

NUMBERS = (int, float, int | None, float | None)  # types of fields


def build_dataclass(kind: type[T], values: dict[str, Any], prefix: str) -> T:
    """Return ``kind(**values)`` with each value checked against its type. Raises ConfigError for the first invalid
    one."""
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError(
                f"there is no setting {prefix}{name}{did_you_mean(name, known)}; there are: {', '.join(known)}"
            )
    checked = {name: check_type(field_types(kind)[name], value, prefix + name) for name, value in values.items()}
    try:
        return kind(**checked)
    except ConfigError:
        raise
    except ValueError as error:  # of a rule's own check of its fields
        raise ConfigError(str(error)) from error


_hints = cache(get_type_hints)


def field_types(config: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields, also if its file postpones the evaluation of annotations."""
    return _hints(config)


def check_type(kind: Any, value: Any, name: str, strict: bool = False) -> Any:
    """Return ``value`` converted to type ``kind``; unless ``strict``, numbers may be given as text. Raises
    ConfigError."""
    if is_dataclass(value) or (type(value) is kind and kind in (bool, int, float)):
        return value
    value = plain(value)
    try:
        found = _adapter(kind).validate_python(value, strict=strict)
    except ValidationError as error:
        first, *others = [each["msg"] for each in error.errors()]
        words = [each for each in others if each.startswith("Input should be '")]  # that a number or bool may also be
        problem = " or ".join([first, *(each.removeprefix("Input should be ") for each in words)])
        near = did_you_mean(value, _choices(kind)) if isinstance(value, str) else ""
        raise ConfigError(f"{name} is {_on_one_line(value)}{near}: {problem[0].lower()}{problem[1:]}") from None
    if (wrong := _converted(value, found)) is not None:
        raise ConfigError(
            f"{name} is {_on_one_line(value)}: it must be a number of Python or NumPy, not a {type(wrong).__name__}"
        )
    return found


def _choices(kind: Any) -> list[str]:
    """Return the texts among which a field of this type is a choice; none for other types."""
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return [part for part in parts if isinstance(part, str)]
    return [choice for part in parts for choice in _choices(part)]


def _converted(given: Any, found: Any) -> Any:
    """Return an object that pydantic has turned into a float, though it is neither a number nor text; None if there is
    none.

    Pydantic accepts whatever has a ``__float__``, such as a tensor, of which the config would keep the object itself.
    """
    if isinstance(found, float):
        return None if isinstance(given, int | float | str | bytes) else given
    if isinstance(given, Mapping) and isinstance(found, Mapping):
        given, found = list(given.values()), list(found.values())
    if not (isinstance(given, list | tuple) and isinstance(found, list | tuple)):
        return None
    return next((one for one in map(_converted, given, found) if one is not None), None)


def _on_one_line(value: Any) -> str:
    return " ".join(repr(value).split())  # a tensor is printed on several


def check_fields(config: Any, prefix: str) -> None:
    """Raise ConfigError unless each field of a dataclass has its declared type, and each number is finite.

    Unlike on the command line, a number must not be given as text. Lists may take the place of tuples, and NumPy's
    numbers that of Python's. ``prefix`` is put before the field's name, such as ``optim.``.
    """
    for item in fields(config):
        value, kind = _tuples(plain(getattr(config, item.name))), field_types(type(config))[item.name]
        if isinstance(value, str) and kind in NUMBERS:
            raise ConfigError(f"{prefix}{item.name} is {value!r}: it must be a number, without quotes")
        check_type(kind, value, prefix + item.name, strict=True)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise ConfigError(f"{prefix}{item.name} is {value}: it must be finite")


def check_groups(config: Any, prefix: str) -> None:
    """Raise ConfigError for a field that holds a dataclass of another class than its type says, and for an ``InitVar``.

    Keys and logs contain a dataclass's fields, not its class: two classes could have one key, and a worker would build
    the wrong one. An ``InitVar`` is no field, so that two values of it would have one key.
    """
    for name, item in type(config).__dataclass_fields__.items():
        if item._field_type.name == "_FIELD_INITVAR":
            raise ConfigError(
                f"{prefix}{name} is an InitVar, which is in neither the run key nor the log: make it a field (without "
                "InitVar)"
            )
    for item in fields(config):
        value, kind = getattr(config, item.name), field_types(type(config))[item.name]
        if is_dataclass(value):
            allowed = [each for each in (get_args(kind) or (kind,)) if each is not type(None)]
            text = " or ".join(getattr(each, "__name__", str(each)) for each in allowed)
            if allowed != [type(value)]:
                raise ConfigError(
                    f"{prefix}{item.name} is a {type(value).__name__}, and its type is {text}: a field that holds a "
                    "dataclass must have that class as its type, since logs contain only the values of its fields"
                )
            check_groups(value, f"{prefix}{item.name}.")


def _tuples(value: Any) -> Any:
    """Return tuples for lists, and any other value as it is."""
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the validator of ``kind``. A field may have any custom class as its type; its instances are valid."""
    return TypeAdapter(kind, config=None if is_dataclass(kind) else ConfigDict(arbitrary_types_allowed=True))


def plain(value: Any) -> Any:
    """Return NumPy's numbers, texts and arrays as Python's, and any other value as it is.

    A number becomes the one that it prints as: ``float32(0.05)`` becomes 0.05, not 0.05000000074505806. An array
    becomes a tuple. Tuples and lists are searched.
    """
    if isinstance(value, tuple | list):
        inner = [plain(each) for each in value]
        same = all(a is b for a, b in zip(inner, value, strict=True))
        return value if same else type(value)(inner) if type(value) in (tuple, list) else value
    if not _is_numpy(value):
        return value
    if getattr(value, "ndim", 0):
        return tuple(plain(each) for each in value)
    if value.dtype.kind == "c":
        return complex(value)  # which no field accepts; NumPy's would pass for a float, without its imaginary part
    number = value.item()
    return float(str(value)) if isinstance(number, float) or value.dtype.kind == "f" else number


def _is_numpy(value: Any) -> bool:
    # by name: NumPy is not imported here, and its scalars and arrays have no other common attribute
    return type(value).__module__ == "numpy" and getattr(getattr(value, "dtype", None), "kind", "") in tuple("biufcU")


def make_plain(config: Any) -> None:
    """Replace NumPy's values, and lists that take the place of tuples, among the fields of a frozen dataclass that is
    being constructed."""
    for item in fields(config):
        value, kind = getattr(config, item.name), field_types(type(config))[item.name]
        new = plain(value)
        if isinstance(new, list | tuple) and tuple in [get_origin(part) for part in (kind, *get_args(kind))]:
            tuples = _tuples(new)
            new = new if tuples == new else tuples  # also a list within a tuple
        if new is not value:
            object.__setattr__(config, item.name, new)


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested settings by dotted name, such as ``optim.lr``."""
    flat: dict[str, Any] = {}
    for name, value in data.items():
        nested = isinstance(value, Mapping) and value
        flat |= flatten(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat
