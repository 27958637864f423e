"""One split of a data set (train, val or test) and its batches."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nowt.core.errors import DataError
from nowt.core.formatting import counted
from nowt.core.seeding import Seeds
from nowt.data.images import Pixels
from nowt.data.sampler import BatchIndices, sequential_batches, training_batches, without_augmentation
from nowt.data.subsets import Ints, balanced
from nowt.data.transforms import SHIFT_FLIP_DRAWS, Normalize, shift_flip


class Split(ABC):
    """Images and labels of one split; ``len()`` is the number of distinct images."""

    def __init__(self, labels: Ints, normalize: Normalize, repeat: int = 1, shuffle: bool = True) -> None:
        self.labels = labels
        self.normalize = normalize
        self.shuffle = shuffle
        self.repeat = repeat

    def __len__(self) -> int:
        return len(self.labels)

    def steps(self, batch: int) -> int:
        """Return the number of full batches in one epoch of training."""
        return len(self) * self.repeat // batch

    def batches(
        self,
        batch: int,
        *,
        seeds: Seeds | None = None,
        epoch: int = 0,
        start: int = 0,
        drop_last: bool = False,
        shard: tuple[int, int] = (0, 1),
        device: torch.device | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalized images (B, C, H, W), float32, and labels (B,), int64, starting with batch ``start``.

        With ``seeds`` (resolved), this is one epoch of training: every image ``repeat`` times, in an order drawn
        from seeds.order and with crops drawn from seeds.crops. Without, it is every image once, in order.
        ``shard`` is (rank, world size): each worker receives its shard of every batch. Together the shards are the
        batch; a worker skips a batch that has no image left for it. Images may be copied to ``device`` before they are
        normalized, which is faster; the caller copies those that are not.
        Raises DataError if no batch remains after the short one is dropped, or if an image is broken.
        """
        if seeds is None:
            selected = sequential_batches(len(self), batch)
        else:
            selected = training_batches(len(self), self.repeat, batch, seeds, epoch, self.shuffle)
        if drop_last and len(selected[-1]) < batch:
            selected.pop()
        if not selected:
            raise DataError(f"batch is {batch}: it must be at most {len(self) * self.repeat}, the images of an epoch")
        shards = (indices.shard(*shard) for indices in selected[start:])
        yield from self._load_all([indices for indices in shards if len(indices)], device)

    def shard_images(self, batch: int, shard: tuple[int, int]) -> list[Ints]:
        """Return the images of each batch that ``batches`` yields to this worker without ``seeds``."""
        shards = (indices.shard(*shard) for indices in sequential_batches(len(self), batch))
        return [indices.images for indices in shards if len(indices)]

    def _load_all(
        self, selected: Sequence[BatchIndices], device: torch.device | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in selected:
            yield self.load(indices), self.labels_of(indices)

    def labels_of(self, indices: BatchIndices) -> Tensor:
        """Return the labels of the batch: (B,), int64."""
        return torch.from_numpy(self.labels[indices.images])

    @abstractmethod
    def load(self, indices: BatchIndices) -> Tensor:
        """Return the images of the batch, normalized and augmented: (B, C, H, W), float32."""


class ArraySplit(Split):
    """Images held as pixels, in memory or in a memory-mapped file; shifted and flipped one batch at a time."""

    def __init__(
        self,
        pixels: Pixels,
        labels: Ints,
        normalize: Normalize,
        repeat: int = 1,
        shift: int = 0,
        flip: bool = False,
        shuffle: bool = True,
    ) -> None:
        super().__init__(labels, normalize, repeat, shuffle)
        self.pixels = pixels
        self.shift = shift
        self.flip = flip

    def load(self, indices: BatchIndices) -> Tensor:
        """Return the images of the batch, normalized and augmented: (B, C, H, W), float32."""
        x = self.normalize(torch.from_numpy(self.pixels[indices.images]))
        if indices.crop_key is None or not (self.shift or self.flip):
            return x
        return shift_flip(x, indices.draws(SHIFT_FLIP_DRAWS), self.shift, self.flip)


def probe_batch(split: Split, samples: int) -> tuple[Tensor, Tensor]:
    """Return a fixed batch without augmentation, with the same number of images of each class where possible.

    Raises DataError if the split has fewer than ``samples`` images.
    """
    if samples > len(split):
        raise DataError(f"probe.samples is {samples}: there are only {counted(str(len(split)), 'training image')}")
    indices = without_augmentation(balanced(split.labels, samples, "probe"))
    return split.load(indices), split.labels_of(indices)
