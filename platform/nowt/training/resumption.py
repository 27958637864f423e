"""Recognizes a checkpoint of another run, so that no run continues or repeats the results of another one."""

import json
from pathlib import Path
from typing import Any

from nowt.config.run_config import RunConfig, config_to_json
from nowt.core.errors import ConfigError
from nowt.core.fields import flatten
from nowt.core.plugins import file_label

FILES = ("rule.name", "model.name")  # settings that may be paths, which may change

IMAGES = "fingerprint of the images"


def identity(config: RunConfig, fingerprint: str) -> str:
    """Return the settings and the images of a run as text, for its checkpoints."""
    settings = flatten(config_to_json(config))
    for name in FILES:
        settings[name] = file_label(settings[name])
    facts = {**settings, "rule.numerics": config.rule.numerics, IMAGES: fingerprint}
    return json.dumps(facts, sort_keys=True, default=lambda value: type(value).__name__)


def check_same_run(state: dict[str, Any], config: RunConfig, fingerprint: str, folder: Path) -> None:
    """Raise ConfigError if the checkpoint ``state`` is of another run. Earlier versions did not record the run."""
    before = json.loads(state.get("run", "{}"))
    for name, value in json.loads(identity(config, fingerprint)).items():
        if before.get(name, value) != value:
            raise ConfigError(
                f"the checkpoints in {folder} are of another run ({name} {before[name]}, now {value}): give another "
                "folder"
            )
