"""Saves and loads checkpoints, so that a run resumes as if it had not been interrupted."""

import errno
import os
import shutil
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from nowt.config.placement import Keep
from nowt.core.errors import AccessError, ConfigError, UserError, access_problem, naming
from nowt.core.formatting import printable
from nowt.store.files import make_folder, sync_folder
from nowt.store.temporary_files import remove_leftovers, temporary_path

Check = Callable[[Mapping[str, Any]], None]  # raises ValueError for a state of another form

UNREADABLE = ".unreadable"  # is added to the name of a damaged checkpoint


class DamagedCheckpoint(Exception):
    """A checkpoint whose content cannot be read. The message is one line."""


class CheckpointNotSaved(AccessError):
    """The file system does not accept a checkpoint. The message is one line with the reason and the file."""


def save(folder: Path, step: int, state: dict[str, Any], max_to_keep: int = 2, keep_epochs: Keep | None = None) -> Path:
    """Write ``state`` (tensors, numbers, text) and delete all but the newest ``max_to_keep`` checkpoints.

    The file is written under a temporary name and then renamed. At the end of an epoch in ``keep_epochs`` it gets a
    second name, ``epoch-000010.pt``, which is never deleted. Raises CheckpointNotSaved, such as for a full disk.
    """
    path = folder / f"step-{step:09d}.pt"
    with _new_file(path) as temporary:
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


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Yield the name under which ``path`` is written. Nothing of this name is left. Raises CheckpointNotSaved."""
    temporary = temporary_path(path)
    try:
        with naming(path):
            make_folder(path.parent)
            yield temporary
    except OSError as error:
        if isinstance(error, UserError) or not access_problem(error):
            raise
        raise CheckpointNotSaved(f"{error.strerror or os.strerror(error.errno or 0)}: {path}") from error
    finally:
        with suppress(OSError):  # the disk has gone
            temporary.unlink(missing_ok=True)


def load(folder: Path, check: Check | None = None) -> dict[str, Any] | None:
    """Return the newest state that can be read, on the CPU, or None.

    A damaged checkpoint, or one whose state ``check`` refuses (default: any form is accepted), gets another name and
    causes a warning. Raises ConfigError if the file system denies access to one: it may be intact.
    """
    for path in reversed(saved(folder)):
        try:
            return read(path, check)
        except FileNotFoundError:  # another worker has renamed it
            continue
        except DamagedCheckpoint as error:
            warnings.warn(f"{set_aside(path, error)}; using the one before it", stacklevel=2)
    return None


def read(path: Path, check: Check | None = None) -> dict[str, Any]:
    """Return the state in one checkpoint, on the CPU, so that a full GPU cannot be mistaken for a damaged file.

    Raises DamagedCheckpoint, also for a state that ``check`` refuses; FileNotFoundError; MemoryError if the state does
    not fit into memory; and ConfigError if the file system denies access.
    """
    try:
        return _checked(path, check)
    except (FileNotFoundError, DamagedCheckpoint, MemoryError, torch.OutOfMemoryError):
        raise
    except OSError as error:
        if error.errno == errno.EIO:  # of a bad block
            raise DamagedCheckpoint(first_line(error)) from error
        raise ConfigError(
            f"checkpoint {path} cannot be opened ({error.strerror or error}): make it readable"
        ) from error
    except Exception as error:  # of damaged content, torch and pickle raise almost any
        if "can't allocate memory" in str(error):
            raise MemoryError(f"checkpoint {path} does not fit into memory") from error
        raise DamagedCheckpoint(first_line(error)) from error


def _checked(path: Path, check: Check | None) -> dict[str, Any]:
    """Return the state in one checkpoint. Raises any error if it is damaged."""
    if not _is_archive(path):  # torch would read it as its old format, and fail in many ways
        raise DamagedCheckpoint("it is cut short or no checkpoint" if path.is_file() else "it is not a file")
    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise DamagedCheckpoint("its content is compressed")  # it could have any size
        if archive.testzip():
            raise DamagedCheckpoint("its checksums differ")
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise DamagedCheckpoint("it is not the state of a run")
    if check is not None:
        check(state)
    return state


def _is_archive(path: Path) -> bool:
    """Return whether the file is a complete archive. One that is no plain file, such as a pipe, is not opened. Raises
    OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        return False
    with path.open("rb") as file:
        return zipfile.is_zipfile(file)


def set_aside(path: Path, error: DamagedCheckpoint) -> str:
    """Rename a damaged checkpoint, so that no later start tries it again and none is pruned in its favour. Return what
    was done as the beginning of a sentence."""
    aside = path.with_name(path.name + UNREADABLE)
    with suppress(FileNotFoundError):  # another worker has renamed it
        path.rename(aside)
    return f"checkpoint {path} cannot be read ({error}) and is now {aside.name}"


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return printable(str(error).splitlines()[0], keep="") if str(error) else type(error).__name__


def is_kept(keep: Keep | None, epoch: int) -> bool:
    """Return whether ``keep`` names the epoch. The last checkpoint is kept in any case."""
    return keep == "all" or (keep is not None and keep != "last" and epoch in keep)


def kept_checkpoints(folder: Path, last: int | None) -> dict[int, Path]:
    """Return the kept checkpoints by epoch. ``last``: the last epoch, if finished, whose checkpoint is the newest."""
    found = {int(path.stem.removeprefix("epoch-")): path for path in sorted(folder.glob("epoch-*.pt"))}
    newest = saved(folder)[-1:]
    return found if last is None or last in found or not newest else {**found, last: newest[0]}


def prune(folder: Path, max_to_keep: int) -> None:
    """Delete all but the newest ``max_to_keep`` checkpoints, and temporary files that no process completes any more;
    kept epochs stay. A damaged checkpoint displaces no other."""
    remove_leftovers(folder)
    whole = []
    for path in saved(folder):
        with suppress(OSError):  # another process may have deleted it
            whole += [path] * _is_archive(path)
    oldest = whole[-max_to_keep:][:1]
    for path in saved(folder):
        if oldest and path < oldest[0]:
            path.unlink(missing_ok=True)


def _keep(saved: Path, kept: Path) -> None:
    """Link the complete checkpoint under its second name, which needs neither disk space nor time."""
    kept.unlink(missing_ok=True)  # from an attempt that ended here
    try:
        os.link(saved, kept)
    except OSError:  # the file system has no links
        with _new_file(kept) as copy:
            shutil.copyfile(saved, copy)
            copy.replace(kept)


def saved(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder by their steps, the newest last."""
    return sorted(folder.glob("step-*.pt"))
