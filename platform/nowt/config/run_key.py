"""The run key: a hash of everything that decides a run's numbers, and of nothing else."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any

from nowt.config.run_config import ModelConfig, RunConfig
from nowt.core.errors import require
from nowt.core.fields import check_type, field_types
from nowt.core.plugins import is_file_spec, module_source, source_of
from nowt.rules.base import Rule

LOOP_NUMERICS = 2  # increase it whenever the training loop gives other numbers for the same config

CROPS_NUMERICS = 2  # increase it whenever the same random resized crop has other pixels


def non_default_fields(config: Any) -> dict[str, Any]:
    """Return the fields that differ from their defaults, nested as in ``config``, and a rule's name and numerics."""
    data: dict[str, Any] = {}
    if isinstance(config, Rule):
        data = {"name": config.name, "numerics": _numerics(config)}
    for item in fields(config):
        value = getattr(config, item.name)
        if isinstance(config, ModelConfig) and item.name == "name":
            value = model_identity(value)
        if is_dataclass(value):
            inner = non_default_fields(value)
            data |= {item.name: inner} if inner or value != _default(item) else {}
        elif value != _default(item):
            data[item.name] = check_type(
                field_types(type(config))[item.name], value, item.name
            )  # lr=1 and lr=1.0 are one setting
    return data


def _numerics(rule: Rule) -> int | str:
    """Return the rule's numerics. Raises ConfigError for a rule whose code is in no file, and for a custom rule that is
    not at the top level of its file: a function could make several of one name, which differ in its arguments."""
    kind = type(rule)
    module = sys.modules.get(kind.__module__)
    line = f"rule {rule.name} is defined in no file, so nothing identifies its code: move it to a FILE.py"
    require(getattr(module, "__file__", None) is not None, line)
    assert module is not None
    if isinstance(rule.numerics, str):  # a hash of its file and name
        line = f"rule {rule.name} ({kind.__qualname__}) is not defined at the top level of {module.__file__}"
        advice = "so nothing identifies its code: define its class there, and give what varies as fields"
        require(getattr(module, kind.__qualname__, None) is kind, f"{line}, {advice}")
    return rule.numerics


def model_identity(name: str) -> str:
    """Return the name of a built-in model or of one in an installed package. A custom model is identified by its code
    and the function's name, since its path may change."""
    place, _, function = name.rpartition(":")
    source = source_of(name) if place else None
    return name if source is None else f"{function} in {source.digest}"


def code_identity(config: RunConfig) -> dict[str, Any]:
    """Return what identifies the code of a run in its key: of the loop, the rule and the model, and of random
    resized crops."""
    return {
        "loop": LOOP_NUMERICS,
        "rule": _numerics(config.rule),
        "model": model_identity(config.model.name),
        **({"crops": CROPS_NUMERICS} if config.data.augment == "resized_crop" else {}),
    }


def changed_files(config: RunConfig, recorded: Mapping[str, Any]) -> list[str]:
    """Return the custom files of a logged config whose code is not that of ``recorded``, the log's ``code``."""
    names = {"rule": config.rule.source, "model": config.model.name}
    files = {part: name for part, name in names.items() if is_file_spec(name) and part in recorded}
    now = code_identity(config) if files else {}
    return [name for part, name in files.items() if now[part] != recorded[part]]


def imported_packages(config: RunConfig) -> tuple[str, ...]:
    """Return the modules of installed packages that the code of a custom rule or model imports, or is in."""
    module = type(config.rule).__module__
    rule, place = module_source(sys.modules[module]), config.model.name.rpartition(":")[0]
    model = source_of(config.model.name) if place else None
    named = {name.partition(".")[0] for name, source in ((module, rule), (place, model)) if source is None}
    found = {*named, *(name for source in (rule, model) if source is not None for name in source.packages)}
    return tuple(sorted(found - {"", "nowt"}))


def run_key(config: RunConfig, fingerprint: str) -> str:
    """Return the run key, 12 hexadecimal digits. ``fingerprint`` is that of the data set's content and splits."""
    return key_of_fields(non_default_fields(config), fingerprint)


def with_seed_field(known: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the ``non_default_fields`` of the same run with another seed."""
    return {**{name: value for name, value in known.items() if name != "seed"}, **({"seed": seed} if seed else {})}


def key_of_fields(known: Mapping[str, Any], fingerprint: str) -> str:
    """Return the key of the run with these ``non_default_fields``."""
    crops = known.get("data", {}).get("augment") == "resized_crop"
    facts = {
        "config": known,
        "loop": LOOP_NUMERICS,
        "data": fingerprint,
        **({"crops": CROPS_NUMERICS} if crops else {}),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


@cache  # a study of 5,000 runs asks a million times, and each config that is made is checked
def _default(item: Field[Any]) -> Any:
    """Return the default of a dataclass's field; ``MISSING`` if it has none."""
    return item.default if item.default_factory is MISSING else item.default_factory()
