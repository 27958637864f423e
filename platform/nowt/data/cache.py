"""Cache of image files in the store: their prepared pixels, and the list of broken images.

One process writes a cache file under a temporary name and renames it when it is complete; other processes that need
it wait for a lock. A file is named after the content of its images and after what decoded them, so that an upgrade of
Pillow prepares the images again. Pixels are memory-mapped, so all processes of a machine share one copy.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from nowt.config.placement import Placement
from nowt.core.errors import DataError, naming
from nowt.core.formatting import counted
from nowt.data.decode import BadImage, OutOfRange, broken_image_error, decode, decoder
from nowt.data.images import ImageFiles, digest_of
from nowt.data.threads import map_in_threads
from nowt.data.transforms import center_crop
from nowt.data.unused_files import outdated_pixels
from nowt.store.files import read_plain_file
from nowt.store.layout import Store
from nowt.store.links import check_links
from nowt.store.locks import turn
from nowt.store.temporary_files import remove_leftovers, temporary_path

BROKEN = 2  # raised when other images are left out; not part of a key, which has the names of the images left out


def cached_pixels(files: ImageFiles, size: int, scale: float, placement: Placement) -> NDArray[np.uint8]:
    """Return the center square of every image, resized: (N, 3, size, size), memory-mapped.

    The side of the square is ``scale`` times the short side.
    Raises DataError naming the first broken or changed image, or if the disk is too small.
    """
    path = pixels_file(files, size, scale, placement)
    return np.memmap(path, np.uint8, "r", shape=(len(files.names), 3, size, size))


def pixels_file(files: ImageFiles, size: int, scale: float, placement: Placement) -> Path:
    """Return the file of the pixels that ``cached_pixels`` returns, which the first process writes."""
    path = _folder(placement) / f"{digest_of(files.digest(), size, scale)}.{decoder()}.pixels"
    _write_once(path, partial(_write_pixels, files, size, scale, placement))
    expected = len(files.names) * 3 * size**2
    if path.stat().st_size != expected:
        raise DataError(f"{path} has {counted(str(path.stat().st_size), 'byte')}; expected {expected}: delete it")
    return path


def broken_images(files: ImageFiles, placement: Placement) -> dict[str, str]:
    """Return the images that cannot be decoded: name to reason. Raises DataError naming one that is never left out."""
    path = _folder(placement) / f"{digest_of(BROKEN, files.digest())}.{decoder()}.broken.json"
    _write_once(path, partial(_write_broken, files, placement))
    found: dict[str, str] = json.loads(read_plain_file(path))
    return found


def _folder(placement: Placement) -> Path:
    check_links(Path(placement.store))
    folder = Store(Path(placement.store)).cache
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_once(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Make sure that ``path`` exists and is complete, written by this process or by the one that holds the lock."""
    if path.exists():
        return
    with turn(path.with_suffix(".lock"), f"writes {path}"):
        if path.exists():
            return
        remove_leftovers(path.parent)
        temporary = temporary_path(path)  # the lock does not keep out other hosts on every file system
        try:
            with naming(path), temporary.open("wb") as file:
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
    for line in outdated_pixels(Path(placement.store)):
        _print_once(line)
    crop = partial(center_crop, scale=scale)
    load = partial(files.decode, size=size, choose_box=crop)
    title = f"preparing images at {size} pixels"
    for image in map_in_threads(load, range(len(files.names)), placement.loaders, title):
        file.write(image.tobytes())


@cache  # once in a process, although each split has a file
def _print_once(line: str) -> None:
    print(f"nowt: {line}", file=sys.stderr, flush=True)


def _write_broken(files: ImageFiles, placement: Placement, file: BinaryIO) -> None:
    reasons = map_in_threads(partial(_reason, files), range(len(files.names)), placement.loaders, "checking images")
    found = {name: reason for name, reason in zip(files.names, reasons, strict=True) if reason is not None}
    file.write(json.dumps(found, indent=1, allow_nan=False).encode())


def _reason(files: ImageFiles, index: int) -> str | None:
    """Return why the image cannot be decoded; None if it can."""
    data = files.read(index)
    try:
        decode(data, 1, center_crop)
    except OutOfRange as error:
        raise broken_image_error(files.root / files.names[index], error) from error
    except BadImage as error:
        return str(error)
    return None
