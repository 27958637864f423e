"""Overrides: ``--optim.lr 0.2`` sets any field of a config by its dotted path, read as the field's type."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args

from nowt.config.field_names import Override, check_name
from nowt.config.run_config import RunConfig
from nowt.core.errors import ConfigError, did_you_mean
from nowt.core.fields import check_type, field_types
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule


def _with_defaults(name: str) -> Rule:
    return find_rule(name)()


def apply_overrides(
    config: RunConfig, overrides: Sequence[Override], make_rule: Callable[[str], Rule] = _with_defaults
) -> RunConfig:
    """Return the config with all overrides applied; ``--rule`` first, so that its fields may come in any order.

    ``make_rule`` returns the rule for the name given with ``--rule``; by default, that rule with its default fields.
    """
    for override in overrides:
        if override.path == "rule":
            config = replace(config, rule=make_rule(override.text))
    values: dict[str, Any] = {}
    for override in overrides:
        if override.path != "rule":
            _set_value(values, config, override)
    changed: RunConfig = _replace_nested(config, values)
    return changed


def set_fields(config: RunConfig, new: Mapping[str, Any]) -> RunConfig:
    """Return the config with the values of ``new``, by dotted path. Raises ConfigError naming a field."""
    values: dict[str, Any] = {}
    for path, value in new.items():
        value_at(config, path)
        *groups, name = path.split(".")
        parent: Any = config
        inner = values
        for group in groups:
            parent, inner = getattr(parent, group), inner.setdefault(group, {})
        inner[name] = check_type(field_types(type(parent))[name], value, path)
    changed: RunConfig = _replace_nested(config, values)
    return changed


def value_at(config: RunConfig, path: str) -> Any:
    """Return the value of the field at a dotted path. Raises ConfigError with the nearest path that exists."""
    value: Any = config
    for part in path.split("."):
        if not is_dataclass(value) or part not in value.__dataclass_fields__:
            near = did_you_mean(path, field_paths(config))
            raise ConfigError(f"there is no field {path}{near} in a run of {config.rule.name}")
        value = getattr(value, part)
    return value


def _replace_nested(config: Any, values: dict[str, Any]) -> Any:
    """Replace all values at once, so that fields that depend on each other can change together."""
    nested = {k: _replace_nested(getattr(config, k), v) if isinstance(v, dict) else v for k, v in values.items()}
    try:
        return replace(config, **nested)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _set_value(values: dict[str, Any], config: Any, override: Override) -> None:
    """Read the override as its field's type and add it to the nested ``values``."""
    *parents, name = override.path.replace("-", "_").split(".")
    for parent in parents:
        _check_field(config, parent, override)
        config, values = getattr(config, parent), values.setdefault(parent, {})
    _check_field(config, name, override)
    if is_dataclass(getattr(config, name)):
        example = fields(getattr(config, name))[0].name
        raise ConfigError(f"--{override.path} is a group of fields: give one, such as --{override.path}.{example}")
    kind = field_types(type(config))[name]
    values[name] = check_type(kind, parse_value(kind, override.text), override.path)


def _check_field(config: Any, name: str, override: Override) -> None:
    check_name(name, [item.name for item in fields(config)] if is_dataclass(config) else [], override.path)


def parse_value(kind: Any, text: str) -> Any:
    """Return the text as plain data: None for ``none``, a tuple for a comma-separated list."""
    if text.lower() == "none" and type(None) in get_args(kind):
        return None
    if getattr(kind, "__origin__", None) is tuple:
        return tuple(part for part in text.strip("()[]").split(",") if part.strip())
    return text


def field_paths(config: Any, prefix: str = "") -> list[str]:
    """Return the dotted path of every field."""
    found = []
    for item in fields(config):
        value = getattr(config, item.name)
        found += field_paths(value, f"{prefix}{item.name}.") if is_dataclass(value) else [prefix + item.name]
    return found


def describe_fields(config: Any, prefix: str = "") -> list[tuple[str, str, str]]:
    """Return every field as (path, type, value), for ``--help`` and ``nowt show``."""
    rows = []
    hints = field_types(type(config))
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            name = getattr(value, "name", None)
            rows += [(prefix + item.name, "rule", str(name))] if item.name == "rule" else []
            rows += describe_fields(value, f"{prefix}{item.name}.")
        else:
            rows.append((prefix + item.name, _type_text(hints[item.name]), _value_text(value)))
    return rows


def _value_text(value: Any) -> str:
    """Return the value as it can be given on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "()"
    return "none" if value is None else str(value)


def _type_text(kind: Any) -> str:
    choices = [a if isinstance(a, str) else _type_text(a) for a in get_args(kind) if a is not Ellipsis]
    if getattr(kind, "__origin__", None) is tuple:
        return f"{choices[0]},..."
    if choices:
        return "|".join(choices)
    return "none" if kind is type(None) else getattr(kind, "__name__", str(kind))
