"""A split of image files from which training takes random resized crops, in each epoch other ones."""

from collections.abc import Iterator, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nowt.data.images import ImageFiles
from nowt.data.loaders import Loaders
from nowt.data.sampler import BatchIndices
from nowt.data.splits import Split
from nowt.data.squares import Squares
from nowt.data.transforms import RESIZED_CROP_DRAWS, Box, Normalize, center_crop, random_resized_crop


class StreamSplit(Split):
    """Image files: training takes a random resized crop of each, evaluation a center square.

    The side of that square is ``scale`` times the short side. Files are decoded for each crop or, with ``squares``,
    have been decoded once. A crop depends on the crop seed, the epoch, the image
    and its repeat, never on how many processes decode.
    """

    def __init__(
        self,
        files: ImageFiles,
        normalize: Normalize,
        repeat: int,
        size: int,
        scale: float,
        loaders: int,
        shuffle: bool = True,
        squares: Squares | None = None,
    ) -> None:
        super().__init__(files.labels, normalize, repeat, shuffle)
        self.files = files
        self.size = size
        self.scale = scale
        self.loaders = loaders
        self.squares = squares
        self._running: Loaders | None = None  # from the first batch on

    def load(self, indices: BatchIndices) -> Tensor:
        """Return the images of the batch, normalized and augmented: (B, 3, size, size), float32."""
        return self.normalize(self.decode_batch(indices))

    def decode_batch(self, indices: BatchIndices) -> Tensor:
        """Return the pixels of the batch, uint8. Raises DataError naming the first broken or changed file."""
        if indices.crop_key is None:
            center = partial(center_crop, scale=self.scale)
            images = [self.files.decode(i, self.size, center) for i in indices.images]
        else:
            draws = indices.draws(RESIZED_CROP_DRAWS)
            images = [self._crop(i, drawn) for i, drawn in zip(indices.images, draws, strict=True)]
        return torch.from_numpy(np.stack(images))

    def _crop(self, index: int, draws: NDArray[np.float64]) -> NDArray[np.uint8]:
        flipped = False

        def choose_box(width: int, height: int) -> Box:
            nonlocal flipped
            box, flipped = random_resized_crop(width, height, draws)
            return box

        if self.squares is None:
            image = self.files.decode_crop(index, self.size, choose_box)
        else:
            image = self.squares.crop(index, self.size, choose_box)
        return image[:, :, ::-1] if flipped else image

    def _load_all(
        self, selected: Sequence[BatchIndices], device: torch.device | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        decoded = map(self.decode_batch, selected) if self.loaders == 0 else self._processes().decode(selected)
        for indices, pixels in zip(selected, decoded, strict=True):
            placed = pixels if device is None else pixels.to(device, non_blocking=True)
            yield self.normalize(placed), self.labels_of(indices)

    def _processes(self) -> Loaders:
        if self._running is None:
            # a copy, which has no processes: otherwise this object would hold itself, and the processes would stay
            self._running = Loaders(copy(self).decode_batch, self.loaders)
        return self._running

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_running": None}
