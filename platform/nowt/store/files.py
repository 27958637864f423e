"""Atomic writes, private files, and reading of plain files only."""

import errno
import os
import shlex
import shutil
import stat
import tempfile
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

from nowt.core.errors import AccessError, ConfigError, naming, require
from nowt.store.temporary_files import temporary_path

LARGEST_READ = 2 * 2**30  # bytes


def write_atomically(path: Path, data: str | bytes, *, durable: bool, private: bool = False) -> None:
    """Write ``data`` (text as UTF-8) to ``path`` by a rename, so that readers see all of it or nothing.

    With ``durable`` the data and the new name are on disk when this returns, so that they also survive a power failure.
    With ``private`` only the owner may read the file, from its first byte on. Parent folders are created.
    """
    make_folder(path.parent)
    temporary = temporary_path(path)
    temporary.unlink(missing_ok=True)
    try:
        with (
            naming(path),
            open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666), "wb") as file,
        ):
            file.write(data.encode() if isinstance(data, str) else data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Create the folder and its parents, if they are missing, so that they survive a power failure."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def check_present(path: Path) -> None:
    """Raise AccessError if the file or folder, which this process has used before, is there no longer. Call it before
    each write that would create it again, and with it a second store at the old place."""
    if path.exists():
        return
    *_, gone = (missing for missing in (path, *path.parents) if not missing.exists())
    raise AccessError(
        f"{gone} was moved or removed while nowt was writing to it: move it back, or give the store's new place as "
        "--store, and run the same command again"
    )


def move_new(source: Path, target: Path) -> bool:
    """Move a file, unless ``target`` exists by then. Return whether it was moved; its new name is then on disk."""
    make_folder(target.parent)
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if target.exists():
            return False
        source.replace(target)
    else:
        source.unlink()
    sync_folder(target.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Flush the folder's entries to disk, so that a file created in it survives a power failure. File systems that
    cannot do that, such as CIFS, do it themselves or not at all."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def read_plain_file(path: Path, limit: int = LARGEST_READ) -> bytes:
    """Return the content of a file.

    Raises ConfigError if it is a pipe or another thing that has no end, or has more than ``limit`` bytes (default:
    2 GiB), OSError if it cannot be read.
    """
    with open_plain_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        require(size <= limit, f"{path} is larger than any file that nowt writes: move it out of the store")
        return file.read()


def open_plain_file(path: Path) -> BufferedReader:
    """Open a file for reading. Raises ConfigError if it is a pipe or another thing that has no end."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe without a writer would wait for one
    except OSError as error:
        require(error.errno != errno.ENXIO, f"{path} is not a file: move it out of the store")  # a socket
        raise
    _require_file(handle, path)
    return os.fdopen(handle, "rb")


def copy_plain_file(source: Path, target: Path) -> None:
    """Copy the content of a file. Raises ConfigError as ``open_plain_file`` does."""
    with open_plain_file(source) as file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy)


def _require_file(handle: int, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ConfigError(f"{path} is not a file: move it out of the store")


def open_unlinked(path: Path, flags: int = 0) -> int:
    """Open a file for reading and writing, create it if it is missing, and return its descriptor.

    ``flags`` are more ones of ``os.open``, such as O_APPEND (default: none).

    Raises ConfigError for a pipe, and for a link: a store of somebody else could name any file by it, which would then
    be changed.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | flags, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ConfigError(f"{path} is a link: delete it, or replace it with a copy of the file") from None
    _require_file(handle, path)
    return handle


def private_folder(path: Path) -> Path:
    """Create the folder ``path``, closed to other users, if it is missing, and return it.

    Raises ConfigError for a link, and for a folder of another user or one that other users can open: they may have
    written what is in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    require(not stat.S_ISLNK(found.st_mode), f"{path} is a link: delete it")
    require(stat.S_ISDIR(found.st_mode), f"{path} is not a folder: move it out of the store")
    require(found.st_uid == os.geteuid(), f"{path} belongs to another user: use a copy of the store without it")
    require(
        not found.st_mode & 0o077,
        f"other users can open {path}, and may have written to it: delete it if you did not write all of it; "
        f"otherwise run chmod 700 {shlex.quote(str(path))}",
    )
    return path


def read_or_create_private(path: Path, default: str) -> str:
    """Return the text of a private file. If the file is missing, create it with the text ``default``."""
    if not path.exists():
        write_atomically(path, default, durable=True, private=True)
    path.chmod(0o600)
    return path.read_text(encoding="utf-8")


def nearest_existing(folder: Path) -> Path:
    """Return ``folder``, or the nearest of its parents that exists."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if os.path.exists(path))


def write_problem(folder: Path) -> str:
    """Return the reason why ``folder``, which need not exist yet, is not writable; empty if it is."""
    place = nearest_existing(folder)
    if not place.is_dir():
        return f"{place} is a file"
    try:
        with tempfile.TemporaryFile(dir=place, buffering=0) as file:
            file.write(b"x")  # a full disk, or a limit of file sizes, has room for names but not for content
            return ""
    except OSError as error:
        return f"{place} is not writable: {error.strerror or error}"


def check_writable(folder: Path, option: str) -> None:
    """Raise ConfigError, naming the command-line ``option``, if ``folder`` is not writable."""
    problem = write_problem(folder)
    require(not problem, f"{option} is {str(folder)!r} ({problem}): give a writable folder")
