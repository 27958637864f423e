"""The images of each batch, and the random numbers that augment them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nowt.core.seeding import Seeds, generator, seed_of
from nowt.data.counter_rng import uniforms
from nowt.data.subsets import Ints


@dataclass(frozen=True, eq=False)
class BatchIndices:
    """The images of one batch. An image shown twice in an epoch has a different repeat each time, so another crop."""

    images: Ints
    repeats: Ints
    crop_key: int | None  # key of the epoch's crops; None disables augmentation

    def __len__(self) -> int:
        return len(self.images)

    def shard(self, rank: int, world_size: int) -> "BatchIndices":
        """Return the rank-th of ``world_size`` contiguous shards, whose sizes differ by at most one image."""
        if world_size == 1:
            return self
        images, repeats = (np.array_split(entries, world_size)[rank] for entries in (self.images, self.repeats))
        return BatchIndices(images, repeats, self.crop_key)

    def draws(self, count: int) -> NDArray[np.float64]:
        """Draw ``count`` numbers in [0, 1) for each image of the batch: (B, count)."""
        assert self.crop_key is not None
        return uniforms(self.crop_key, self.images, self.repeats, count)


def without_augmentation(images: Ints) -> BatchIndices:
    """Return a batch of these images, in this order, without augmentation."""
    return BatchIndices(images, np.zeros_like(images), None)


def sequential_batches(total: int, batch: int) -> list[BatchIndices]:
    """Return batches that contain every image once, in order."""
    return [without_augmentation(images) for images in _chunks(np.arange(total), batch)]


def training_batches(
    total: int, repeat: int, batch: int, seeds: Seeds, epoch: int, shuffle: bool = True
) -> list[BatchIndices]:
    """Return the batches of one epoch of training: every image ``repeat`` times, in an order that depends on
    seeds.order and the epoch, or without ``shuffle`` always in the same order."""
    assert seeds.order is not None and seeds.crops is not None, "seeds must be resolved"
    draw = generator(seeds.order, "order", epoch)
    order = torch.randperm(total * repeat, generator=draw).numpy() if shuffle else np.arange(total * repeat)
    key = seed_of(seeds.crops, "crops", epoch)
    return [BatchIndices(entries % total, entries // total, key) for entries in _chunks(order, batch)]


def _chunks(entries: Ints, batch: int) -> list[Ints]:
    return [entries[i : i + batch] for i in range(0, len(entries), batch)]
