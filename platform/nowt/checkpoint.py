"""Saves and restores one training state, so that a run goes on as if it had never stopped."""

import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch


def save(folder: Path, step: int, state: dict[str, Any], keep: int = 2) -> Path:
    """Write ``state`` (tensors, numbers, text) under a temporary name, rename it, and keep the newest ``keep``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:09d}.pt"
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    prune(folder, keep)
    return path


def load(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """The newest state that can be read, or None. One that cannot is named in a warning and the one before it used."""
    for path in reversed(_saved(folder)):
        try:
            return _read(path, device)
        except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            warnings.warn(f"checkpoint {path} cannot be read ({reason}); using the one before it", stacklevel=2)
    return None


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    if not zipfile.is_zipfile(path):  # torch would take it for a file of its old format, and fail in any of many ways
        raise ValueError("it is cut short or no checkpoint")
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def prune(folder: Path, keep: int) -> None:
    """Leave only the newest ``keep`` checkpoints, and no temporary file."""
    for path in folder.glob("*.tmp*"):
        path.unlink(missing_ok=True)
    saved = _saved(folder)
    for path in saved[: max(0, len(saved) - keep)]:
        path.unlink(missing_ok=True)


def _saved(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"))
