"""Center squares of image files, decoded once, from which training takes its crops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nowt.data.jpeg import resized
from nowt.data.transforms import Box

Bytes = NDArray[np.uint8]


class Squares:
    """The squares of one split in a file of the cache, shared by all processes of a machine.

    Each process maps the file into memory when it takes its first crop; only the path is sent to it.

    Args:
        path: The file: uint8, (count, 3, side, side).
        count: Number of images.
        side: Height and width of each square, in pixels.
    """

    def __init__(self, path: Path, count: int, side: int) -> None:
        self.path, self.side, self._shape = path, side, (count, 3, side, side)
        self._pixels: Bytes | None = None

    def crop(self, index: int, size: int, choose_box: Callable[[int, int], Box]) -> Bytes:
        """Return the part of a square in ``choose_box(side, side)``, resized with antialiasing: (3, size, size)."""
        if self._pixels is None:
            self._pixels = np.memmap(self.path, np.uint8, "c", shape=self._shape)  # torch wants it writable
        return resized(self._pixels[index], choose_box(self.side, self.side), size)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_pixels": None}
