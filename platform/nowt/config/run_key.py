"""A run's key: a hash of what decides its numbers, and of nothing else."""

import hashlib
import json
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from nowt.config.run_config import ModelConfig, RunConfig
from nowt.core.fields import check, kinds
from nowt.rules.base import Rule

LOOP_NUMERICS = 1  # raised whenever the training loop gives other numbers for the same config


def non_default_fields(config: Any) -> dict[str, Any]:
    """Only the fields that differ from their defaults, nested alike; a rule always with its name and numerics."""
    data: dict[str, Any] = {}
    if isinstance(config, Rule):
        data = {"name": config.name, "numerics": config.numerics}
    for item in fields(config):
        value = getattr(config, item.name)
        if isinstance(config, ModelConfig) and item.name == "name":
            value = _by_content(value)
        if is_dataclass(value):
            data |= {item.name: inner} if (inner := non_default_fields(value)) else {}
        elif value != _default(item):
            data[item.name] = check(kinds(type(config))[item.name], value, item.name)  # lr=1 and lr=1.0 are one setting
    return data


def _by_content(model: str) -> str:
    """A model of the user's own by its file's text and the function's name: not by the path, which may lead elsewhere
    tomorrow."""
    path, _, function = model.partition(":")
    if not path.endswith(".py") or not Path(path).is_file():
        return model
    return f"{function} in {hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]}"


def run_key(config: RunConfig, fingerprint: str) -> str:
    """The run's name everywhere: a hash of what decides its numbers, 12 hexadecimal digits."""
    facts = {"config": non_default_fields(config), "loop": LOOP_NUMERICS, "data": fingerprint}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _default(item: Any) -> Any:
    return item.default_factory() if item.default is MISSING else item.default


def certificate_name(rule: Rule) -> str:
    """certificate-NAME.json; for fields other than the defaults, or a rule from a file, with a hash of them."""
    facts = non_default_fields(rule)
    if set(facts) == {"name", "numerics"} and not rule.source:
        return f"certificate-{rule.name}.json"
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    return f"certificate-{rule.name}-{digest}.json"
