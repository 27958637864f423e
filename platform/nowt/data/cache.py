"""Cache of image files in the store: their prepared pixels, and the list of broken images.

One process writes a cache file under a temporary name and renames it when it is complete; other processes that need
it wait for a lock. Pixels are memory-mapped, so all processes of a machine share one copy.
"""

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
from nowt.data.decode import BadImage, decode, decode_center
from nowt.data.images import ImageFiles, digest_of
from nowt.data.transforms import center_crop
from nowt.store.layout import Store
from nowt.store.locks import lock_file

T = TypeVar("T")

PIXELS_VERSION = 1  # raised whenever the same files would give other pixels

CHUNK = 256  # images decoded before they are written


def cached_pixels(files: ImageFiles, size: int, scale: float, placement: Placement) -> NDArray[np.uint8]:
    """Return the center square of every image, resized: (N, 3, size, size), memory-mapped.

    The side of the square is ``scale`` times the short side.
    Raises DataError naming the first broken image, or if the disk is too small.
    """
    shape = (len(files.names), 3, size, size)
    path = _folder(placement) / f"{digest_of(PIXELS_VERSION, files.digest(), size, scale)}.pixels"
    _write_once(path, partial(_write_pixels, files, size, scale, placement))
    if path.stat().st_size != math.prod(shape):
        raise DataError(f"{path} has {path.stat().st_size} bytes; expected {math.prod(shape)}: delete it")
    return np.memmap(path, np.uint8, "r", shape=shape)


def broken_images(files: ImageFiles, placement: Placement) -> dict[str, str]:
    """Return the images that cannot be decoded: name to reason."""
    path = _folder(placement) / f"{digest_of(PIXELS_VERSION, files.digest())}.broken.json"
    _write_once(path, partial(_write_broken, files, placement))
    found: dict[str, str] = json.loads(path.read_text())
    return found


def _folder(placement: Placement) -> Path:
    folder = Store(Path(placement.store)).cache
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_once(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Make sure that ``path`` exists and is complete, written by this process or by the one that holds the lock."""
    if path.exists():
        return
    with path.with_suffix(".lock").open("w") as lock:
        lock_file(lock, wait=True)
        if path.exists():
            return
        temporary = path.with_suffix(".tmp")  # one name, so that this attempt overwrites what a killed process left
        try:
            with temporary.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _write_pixels(files: ImageFiles, size: int, scale: float, placement: Placement, file: BinaryIO) -> None:
    needed, free = len(files.names) * 3 * size**2, shutil.disk_usage(placement.store).free
    if needed > free:
        raise DataError(f"{placement.store} has {free / 1e9:.1f} GB free; the prepared images need {needed / 1e9:.1f}")

    def load(name: str) -> NDArray[np.uint8]:
        return decode_center(files.root / name, size, scale)

    for image in _map(load, files.names, placement, f"preparing images at {size} pixels"):
        file.write(image.tobytes())


def _write_broken(files: ImageFiles, placement: Placement, file: BinaryIO) -> None:
    reasons = _map(partial(_reason, files), files.names, placement, "checking images")
    found = {name: reason for name, reason in zip(files.names, reasons, strict=True) if reason is not None}
    file.write(json.dumps(found, indent=1).encode())


def _reason(files: ImageFiles, name: str) -> str | None:
    """Return why the image cannot be decoded; None if it can."""
    try:
        decode(files.root / name, 1, center_crop)
    except BadImage as error:
        return str(error)
    return None


def _map(work: Callable[[str], T], names: list[str], placement: Placement, title: str) -> Iterator[T]:
    """Apply ``work`` to every name, in order, in threads: Pillow releases the GIL while it decodes."""
    from rich.console import Console
    from rich.progress import track

    chunks = [names[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
    quiet = not sys.stderr.isatty()
    with ThreadPoolExecutor(max(1, placement.loaders)) as pool:
        for chunk in track(chunks, title, console=Console(stderr=True), transient=True, disable=quiet):
            yield from pool.map(work, chunk)
