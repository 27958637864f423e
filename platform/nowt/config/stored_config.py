"""Builds the configs in logs and study files, which somebody else may have written."""

import shlex
from typing import Any

from nowt.config.run_config import RunConfig, config_from_json
from nowt.core.errors import require
from nowt.core.plugins import is_imported


def stored_config(data: dict[str, Any], place: str) -> RunConfig:
    """Build the RunConfig of a log or study file.

    Args:
        data: The config as JSON data.
        place: The run or study that has it, for messages.

    Raises:
        ConfigError: A field is wrong, or a rule or model is code that this process has not imported yet: a file of a
            store does not decide what is imported.
    """
    names = (str(data[part]["name"]) for part in ("rule", "model") if part in data)
    unknown = [name for name in names if (":" in name or ".py" in name) and not is_imported(name)]
    option = f"--code {shlex.join(unknown)}"
    require(not unknown, f"{place} names code that is imported only if you say so: if you trust it, add {option}")
    return config_from_json(data)
