"""What is worked out once from picture files and kept in the store: their pixels, and which are broken.

A cached file is built under a temporary name by one process, while others that want it wait for a lock, and
renamed when it is whole. Pixels are mapped into memory, so all processes of a machine share one copy of them.
"""

import fcntl
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from nowt.config.placement import Placement
from nowt.core.errors import DataError
from nowt.data.decode import BadPicture, decode
from nowt.data.images import Files, digest_of
from nowt.data.transforms import centre_box
from nowt.store.layout import Store

T = TypeVar("T")

PREPARATION = 1  # raised whenever preparing gives other pixels for the same files

BLOCK = 256  # pictures decoded before they are written


def pixels(files: Files, size: int, share: float, placement: Placement) -> NDArray[np.uint8]:
    """Every picture's centre square, ``share`` of its short side wide, resized: (N, 3, size, size), mapped.

    Raises DataError naming the first picture that is broken, or saying that the disk is too small.
    """
    shape = (len(files.names), 3, size, size)
    path = _folder(placement) / f"{digest_of(PREPARATION, files.digest(), size, share)}.pixels"
    _once(path, partial(_write_pixels, files, size, share, placement))
    if path.stat().st_size != math.prod(shape):
        raise DataError(f"{path} holds {path.stat().st_size} bytes where {math.prod(shape)} belong: delete it")
    return np.memmap(path, np.uint8, "r", shape=shape)


def broken(files: Files, placement: Placement) -> dict[str, str]:
    """The pictures that cannot be decoded, by name, each with its reason."""
    path = _folder(placement) / f"{digest_of(PREPARATION, files.digest())}.broken.json"
    _once(path, partial(_write_broken, files, placement))
    found: dict[str, str] = json.loads(path.read_text())
    return found


def whole(files: Files, name: str, size: int, share: float) -> NDArray[np.uint8]:
    """One picture's centre square at size x size. Raises DataError naming the file."""
    try:
        return decode(files.root / name, size, partial(centre_box, share=share))
    except BadPicture as error:
        raise unreadable(files.root / name, error) from error


def unreadable(path: Path, error: BadPicture) -> DataError:
    """What is said of a picture that is broken."""
    return DataError(f"{path} is broken ({error}): replace it, or leave such pictures out with --data.on_bad skip")


def _folder(placement: Placement) -> Path:
    folder = Store(Path(placement.store)).cache
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _once(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Make sure ``path`` is there and whole: written by this process, or by another that has the lock."""
    if path.exists():
        return
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _write_pixels(files: Files, size: int, share: float, placement: Placement, file: BinaryIO) -> None:
    needed, free = len(files.names) * 3 * size**2, shutil.disk_usage(placement.store).free
    if needed > free:
        raise DataError(
            f"{placement.store} has {free / 1e9:.1f} GB free; the prepared pictures need {needed / 1e9:.1f}"
        )
    work = partial(whole, files, size=size, share=share)
    for picture in _each(files.names, work, placement, f"preparing pictures at {size} pixels"):
        file.write(picture.tobytes())


def _write_broken(files: Files, placement: Placement, file: BinaryIO) -> None:
    reasons = _each(files.names, partial(_reason, files), placement, "checking pictures")
    found = {name: reason for name, reason in zip(files.names, reasons, strict=True) if reason is not None}
    file.write(json.dumps(found, indent=1).encode())


def _reason(files: Files, name: str) -> str | None:
    """Why the picture cannot be decoded; None where it can."""
    try:
        decode(files.root / name, 1, centre_box)
    except BadPicture as error:
        return str(error)
    return None


def _each(names: list[str], work: Callable[[str], T], placement: Placement, title: str) -> Iterator[T]:
    """``work`` on every name, in order, by threads: Pillow decodes outside Python's lock."""
    from rich.console import Console
    from rich.progress import track

    blocks = [names[i : i + BLOCK] for i in range(0, len(names), BLOCK)]
    quiet = not sys.stderr.isatty()
    with ThreadPoolExecutor(max(1, placement.loaders)) as pool:
        for block in track(blocks, title, console=Console(stderr=True), transient=True, disable=quiet):
            yield from pool.map(work, block)
