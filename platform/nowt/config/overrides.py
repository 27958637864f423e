"""``--optim.lr 0.2``: any field of a config by its dotted path, read as the field's type."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, get_args

from nowt.config.run_config import RunConfig
from nowt.core.errors import ConfigError, nearest
from nowt.core.fields import check, kinds
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule


@dataclass(frozen=True)
class Override:
    """One field's new value, as it was typed."""

    path: str
    text: str


def _plain(name: str) -> Rule:
    return find_rule(name)()


def apply_overrides(
    config: RunConfig, overrides: Sequence[Override], rule_named: Callable[[str], Rule] = _plain
) -> RunConfig:
    """The config with each override in place; a rule's name first, so that its fields can follow in any order.

    ``rule_named``: the rule that a name stands for, with its defaults unless given.
    """
    plain = [o for o in overrides if o.path != "rule"]
    for override in (o for o in overrides if o.path == "rule"):
        config = replace(config, rule=rule_named(override.text))
    values: dict[str, Any] = {}
    for override in plain:
        _place(values, config, override)
    changed: RunConfig = _changed(config, values)
    return changed


def set_fields(config: RunConfig, new: Mapping[str, Any]) -> RunConfig:
    """The config with the values of ``new``, by dotted path, all at once. Raises ConfigError naming a field."""
    values: dict[str, Any] = {}
    for path, value in new.items():
        value_at(config, path)
        *groups, name = path.split(".")
        parent: Any = config
        inner = values
        for group in groups:
            parent, inner = getattr(parent, group), inner.setdefault(group, {})
        inner[name] = check(kinds(type(parent))[name], value, path)
    changed: RunConfig = _changed(config, values)
    return changed


def value_at(config: RunConfig, path: str) -> Any:
    """The value of the field at a dotted path. Raises ConfigError with the nearest right one."""
    value: Any = config
    for part in path.split("."):
        if not is_dataclass(value) or part not in value.__dataclass_fields__:
            near = nearest(path, field_paths(config))
            raise ConfigError(f"there is no field {path}{near} in a run of {config.rule.name}")
        value = getattr(value, part)
    return value


def _changed(config: Any, values: dict[str, Any]) -> Any:
    """All new values at once, so that fields that need each other can change together."""
    nested = {k: _changed(getattr(config, k), v) if isinstance(v, dict) else v for k, v in values.items()}
    try:
        return replace(config, **nested)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _place(values: dict[str, Any], config: Any, override: Override) -> None:
    *parents, name = override.path.replace("-", "_").split(".")
    for parent in parents:
        _known(config, parent, override)
        config, values = getattr(config, parent), values.setdefault(parent, {})
    _known(config, name, override)
    if is_dataclass(getattr(config, name)):
        raise ConfigError(
            f"--{override.path} is a group of fields: give one, such as --{override.path}.{_first(config, name)}"
        )
    kind = kinds(type(config))[name]
    values[name] = check(kind, parse_value(kind, override.text), override.path)


def _known(config: Any, name: str, override: Override) -> None:
    names = [item.name for item in fields(config)] if is_dataclass(config) else []
    if name not in names:
        prefix = override.path.rpartition(".")[0]
        typed = f"--{override.path}"
        full = [f"--{prefix}.{n}" if prefix else f"--{n}" for n in names]
        close = nearest(typed, full) or (
            nearest(typed, [f"--{path}" for path in field_paths(RunConfig())]) if full else ""
        )
        allowed = ", ".join(names) or "no fields"
        raise ConfigError(f"there is no field --{override.path}{close}; {prefix or 'a run'} has: {allowed}")


def _first(config: Any, name: str) -> str:
    return fields(getattr(config, name))[0].name


def parse_value(kind: Any, text: str) -> Any:
    """The typed word as plain data: ``none``, or a list with commas for a tuple."""
    if text.lower() == "none" and type(None) in get_args(kind):
        return None
    if getattr(kind, "__origin__", None) is tuple:
        return tuple(part for part in text.strip("()[]").split(",") if part.strip())
    return text


def field_paths(config: Any, prefix: str = "") -> list[str]:
    """Every field's dotted path."""
    found = []
    for item in fields(config):
        value = getattr(config, item.name)
        found += field_paths(value, f"{prefix}{item.name}.") if is_dataclass(value) else [prefix + item.name]
    return found


def describe_fields(config: Any, prefix: str = "") -> list[tuple[str, str, str]]:
    """Every field as (path, type, value), for ``--help`` and ``nowt show``."""
    rows = []
    hints = kinds(type(config))
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            name = getattr(value, "name", None)
            rows += [(prefix + item.name, "rule", str(name))] if item.name == "rule" else []
            rows += describe_fields(value, f"{prefix}{item.name}.")
        else:
            rows.append((prefix + item.name, _type_name(hints[item.name]), _shown(value)))
    return rows


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "()"  # as it can be typed
    return "none" if value is None else str(value)


def _type_name(kind: Any) -> str:
    words = [a if isinstance(a, str) else _type_name(a) for a in get_args(kind) if a is not Ellipsis]
    if getattr(kind, "__origin__", None) is tuple:
        return f"{words[0]},..."
    return "|".join(words) if words else "none" if kind is type(None) else getattr(kind, "__name__", str(kind))
