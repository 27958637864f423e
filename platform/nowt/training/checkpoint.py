"""Saves and loads checkpoints, so that a run resumes as if it had not been interrupted."""

import os
import pickle
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from nowt.config.placement import Keep
from nowt.store.files import make_folder, sync_folder
from nowt.store.temporary_files import remove_leftovers, temporary_path

# what reading a damaged checkpoint may raise
READ_ERRORS = (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError)


def save(folder: Path, step: int, state: dict[str, Any], max_to_keep: int = 2, keep_epochs: Keep | None = None) -> Path:
    """Write ``state`` (tensors, numbers, text) and delete all but the newest ``max_to_keep`` checkpoints.

    The file is written under a temporary name and then renamed. At the end of an epoch in ``keep_epochs`` it gets a
    second name, ``epoch-000010.pt``, which is never deleted.
    """
    make_folder(folder)
    path = folder / f"step-{step:09d}.pt"
    temporary = temporary_path(path)
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    if state.get("position") == 0 and is_kept(keep_epochs, state["epoch"]):
        # before the rename: a run that resumes from this checkpoint must not miss its second name
        _keep(temporary, folder / f"epoch-{state['epoch']:06d}.pt")
    temporary.replace(path)
    sync_folder(folder)  # before an older checkpoint is deleted
    prune(folder, max_to_keep)
    return path


def load(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the newest state that can be read, or None. A checkpoint that cannot be read causes a warning."""
    for path in reversed(_saved(folder)):
        try:
            return read(path, device)
        except READ_ERRORS as error:
            warnings.warn(
                f"checkpoint {path} cannot be read ({describe_error(error)}); using the one before it", stacklevel=2
            )
    return None


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """Return the state in one checkpoint. Raises one of READ_ERRORS."""
    if not zipfile.is_zipfile(path):  # torch would read it as its old format, and fail in many ways
        raise ValueError("it is cut short or no checkpoint")
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def describe_error(error: Exception) -> str:
    """Return the reason why a checkpoint cannot be read, in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def is_kept(keep: Keep | None, epoch: int) -> bool:
    """Return whether ``keep`` names the epoch. The last checkpoint is kept in any case."""
    return keep == "all" or (keep is not None and keep != "last" and epoch in keep)


def kept_checkpoints(folder: Path, last: int | None) -> dict[int, Path]:
    """Return the kept checkpoints by epoch. ``last``: the last epoch, if finished, whose checkpoint is the newest."""
    found = {int(path.stem.removeprefix("epoch-")): path for path in sorted(folder.glob("epoch-*.pt"))}
    newest = _saved(folder)[-1:]
    return found if last is None or last in found or not newest else {**found, last: newest[0]}


def prune(folder: Path, max_to_keep: int) -> None:
    """Delete all but the newest ``max_to_keep`` checkpoints, and temporary files that no process completes any more;
    kept epochs stay."""
    remove_leftovers(folder)
    saved = _saved(folder)
    for path in saved[: max(0, len(saved) - max_to_keep)]:
        path.unlink(missing_ok=True)


def _keep(saved: Path, kept: Path) -> None:
    """Link the complete checkpoint under its second name, which needs neither disk space nor time."""
    kept.unlink(missing_ok=True)  # from an attempt that ended here
    try:
        os.link(saved, kept)
    except OSError:  # the file system has no links
        copy = temporary_path(kept)
        shutil.copyfile(saved, copy)
        copy.replace(kept)


def _saved(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"))
