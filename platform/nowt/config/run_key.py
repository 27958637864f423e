"""The run key: a hash of everything that decides a run's numbers, and of nothing else."""

import hashlib
import json
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from nowt.config.run_config import ModelConfig, RunConfig
from nowt.core.fields import check_type, field_types
from nowt.rules.base import Rule

LOOP_NUMERICS = 1  # increase it whenever the training loop gives other numbers for the same config


def non_default_fields(config: Any) -> dict[str, Any]:
    """Return the fields that differ from their defaults, nested as in ``config``, and a rule's name and numerics."""
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
            data[item.name] = check_type(
                field_types(type(config))[item.name], value, item.name
            )  # lr=1 and lr=1.0 are one setting
    return data


def _by_content(model: str) -> str:
    """Identify a custom model by the text of its file and the function's name, since its path may change."""
    path, _, function = model.partition(":")
    if not path.endswith(".py") or not Path(path).is_file():
        return model
    return f"{function} in {hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]}"


def run_key(config: RunConfig, fingerprint: str) -> str:
    """Return the run key, 12 hexadecimal digits. ``fingerprint`` is that of the data set's content and splits."""
    facts = {"config": non_default_fields(config), "loop": LOOP_NUMERICS, "data": fingerprint}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _default(item: Any) -> Any:
    return item.default_factory() if item.default is MISSING else item.default


def certificate_name(rule: Rule) -> str:
    """Return ``certificate-NAME.json``, with a hash if the rule comes from a file or has non-default fields."""
    facts = non_default_fields(rule)
    if set(facts) == {"name", "numerics"} and not rule.source:
        return f"certificate-{rule.name}.json"
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    return f"certificate-{rule.name}-{digest}.json"
