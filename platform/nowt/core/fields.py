"""Builds frozen dataclasses from plain data, checking each field, and flattens nested settings."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_type_hints

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
    return kind(**checked)


_hints = cache(get_type_hints)


def field_types(config: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields, also if its file postpones the evaluation of annotations."""
    return _hints(config)


def check_numbers(config: Any, prefix: str) -> None:
    """Raise ConfigError for the first numeric field of the dataclass ``config`` that is given as text.

    Comparing text with a number would raise a TypeError that does not name the field.
    """
    for item in fields(config):
        value = getattr(config, item.name)
        if isinstance(value, str) and field_types(type(config))[item.name] in NUMBERS:
            raise ConfigError(f"{prefix}{item.name} is {value!r}: it must be a number, without quotes")


def check_type(kind: Any, value: Any, name: str, strict: bool = False) -> Any:
    """Return ``value`` converted to type ``kind``; unless ``strict``, numbers may be given as text. Raises
    ConfigError."""
    if is_dataclass(value):
        return value
    try:
        return _adapter(kind).validate_python(value, strict=strict)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise ConfigError(f"{name} is {value!r}: {problem[0].lower()}{problem[1:]}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the validator of ``kind``. A field may have any custom class as its type; its instances are valid."""
    return TypeAdapter(kind, config=None if is_dataclass(kind) else ConfigDict(arbitrary_types_allowed=True))


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested settings by dotted name, such as ``optim.lr``."""
    flat: dict[str, Any] = {}
    for name, value in data.items():
        nested = isinstance(value, Mapping) and value
        flat |= flatten(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat
