"""What a run's log says of where it comes from: config, data, versions, commit."""

from functools import cache
from typing import Any

from nowt.certify import file_name
from nowt.checkout import git
from nowt.config import RunConfig, config_to_json
from nowt.data import Data
from nowt.installed import versions_of

PACKAGES = ("nowt", "torch", "torchvision", "ray", "optuna", "mlflow", "numpy")


def picture_facts(data: Data) -> dict[str, Any]:
    """What the start line says of the pictures."""
    facts = {"fingerprint": data.fingerprint, "classes": data.classes, "training": len(data.train)}
    return {**facts, "skipped": list(data.skipped)}


def start_facts(config: RunConfig, pictures: dict[str, Any]) -> dict[str, Any]:
    """The start line of a run's log; ``pictures`` are their facts."""
    return {
        "config": config_to_json(config),
        **pictures,
        "certificate": file_name(config.rule),
        "versions": versions(),
        "git": git(),
    }


@cache
def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide numbers."""
    return versions_of(PACKAGES)
