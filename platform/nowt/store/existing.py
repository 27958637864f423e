"""Whether there is a store at a path, and which store beside it may be meant instead."""

import os
from pathlib import Path

from nowt.core.errors import ConfigError, nearest

PARTS = ("logs", "studies", "optuna.db")


def is_store(folder: Path) -> bool:
    """Return whether the folder has runs or studies."""
    return any(os.path.exists(folder / part) for part in PARTS)  # unlike Path.exists, it is False without permission


def nearest_store(path: Path) -> str:
    """Return `` (did you mean X?)`` for the store beside ``path`` with the most similar name; empty without one."""
    try:
        beside = [each.name for each in path.parent.iterdir() if is_store(each)]
    except OSError:
        return ""
    found = nearest(path.name, beside)
    return f" (did you mean {found}?)" if found else ""


def missing_store(path: Path) -> str:
    """Return a sentence if there is no folder at ``path``; otherwise an empty string."""
    if path.is_dir():
        return ""
    return f"there is no store at {path}{nearest_store(path)}: give the folder that nowt ablate or nowt search wrote"


def require_store(path: Path) -> None:
    """Raise ConfigError if there is no folder at ``path``. The message names the nearest store beside it."""
    if missing := missing_store(path):
        raise ConfigError(f"{missing} (--store)")
