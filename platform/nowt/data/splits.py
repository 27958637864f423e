"""One part of a data set (train, val or test) and its batches."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nowt.core.errors import DataError
from nowt.core.seeding import Seeds, generator, seed_of
from nowt.data import cache
from nowt.data.counter_rng import uniforms
from nowt.data.decode import BadPicture, decode
from nowt.data.images import Files, Pixels
from nowt.data.subsets import Ints, balanced
from nowt.data.transforms import RESIZED_CROP_DRAWS, SHIFT_FLIP_DRAWS, Box, random_box, shift_flip


@dataclass(frozen=True)
class Colours:
    """Fixed mean and standard deviation of each channel, pixels from 0 to 1."""

    mean: tuple[float, ...]
    sd: tuple[float, ...]

    def normalise(self, pixels: Tensor) -> Tensor:
        """(pixels − mean) / sd in float32; ``pixels``: (B, C, H, W), uint8 to 255 or float32 to 1."""
        scale = 255.0 if pixels.dtype == torch.uint8 else 1.0
        mean, sd = (torch.tensor(values).view(-1, 1, 1) * scale for values in (self.mean, self.sd))
        # in place: on a batch of ImageNet new memory for each step takes longer than the arithmetic
        return pixels.to(torch.float32, copy=True).sub_(mean).div_(sd)


@dataclass(frozen=True, eq=False)
class Block:
    """The pictures of one batch. One shown again in the same epoch has another repeat, so another crop."""

    pictures: Ints
    repeats: Ints
    key: int | None  # of the epoch's crops; None: no augmentation

    def part(self, rank: int, size: int) -> "Block":
        """The rank-th of ``size`` shares of the batch, as equal as can be, in the batch's order."""
        if size == 1:
            return self
        pictures, repeats = (np.array_split(entries, size)[rank] for entries in (self.pictures, self.repeats))
        return Block(pictures, repeats, self.key)

    def draws(self, count: int) -> NDArray[np.float64]:
        """``count`` numbers in [0, 1) for each picture of the batch."""
        assert self.key is not None
        return uniforms(self.key, self.pictures, self.repeats, count)


class Split(ABC):
    """Pictures of one part of a data set; ``len()`` is how many different ones."""

    def __init__(self, labels: Ints, colours: Colours, repeat: int = 1) -> None:
        self.labels = labels
        self.colours = colours
        self.repeat = repeat

    def __len__(self) -> int:
        return len(self.labels)

    def steps(self, batch: int) -> int:
        """Full batches in one epoch of training."""
        return len(self) * self.repeat // batch

    def batches(
        self,
        batch: int,
        *,
        seeds: Seeds | None = None,
        epoch: int = 0,
        start: int = 0,
        drop_last: bool = False,
        share: tuple[int, int] = (0, 1),
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Pictures (B, C, H, W), float32, normalised, and labels (B,), int64, from batch ``start`` on.

        With ``seeds`` (resolved) this is one epoch of training: every picture ``repeat`` times, in an order
        drawn from seeds.order, with crops from seeds.crops. Without, it is every picture once, in order.
        ``share``: this worker's rank and the number of workers; of each batch it gets its part, which together are the
        batch, and nothing of one that has no picture left for it.
        Raises DataError where the only batch is short and to be dropped, or where a picture is broken.
        """
        blocks = self._in_order(batch) if seeds is None else self._shuffled(batch, seeds, epoch)
        if drop_last and len(blocks[-1].pictures) < batch:
            blocks.pop()
        if not blocks:
            raise DataError(f"batch is {batch}: it must be at most {len(self) * self.repeat}, the pictures of an epoch")
        parts = (block.part(*share) for block in blocks[start:])
        yield from self._loaded([part for part in parts if len(part.pictures)])

    def _in_order(self, batch: int) -> list[Block]:
        pictures = np.arange(len(self))
        return [Block(part, np.zeros_like(part), None) for part in _parts(pictures, batch)]

    def _shuffled(self, batch: int, seeds: Seeds, epoch: int) -> list[Block]:
        """The epoch's batches: each entry of the order is a picture in one of its repeats."""
        assert seeds.order is not None and seeds.crops is not None, "seeds must be resolved"
        draw = generator(seeds.order, "order", epoch)
        order = torch.randperm(len(self) * self.repeat, generator=draw).numpy()
        key = seed_of(seeds.crops, "crops", epoch)
        return [Block(part % len(self), part // len(self), key) for part in _parts(order, batch)]

    def _loaded(self, blocks: Sequence[Block]) -> Iterator[tuple[Tensor, Tensor]]:
        for block in blocks:
            yield self.load(block), self.labels_of(block)

    def labels_of(self, block: Block) -> Tensor:
        """Labels of the batch, (B,), int64."""
        return torch.from_numpy(self.labels[block.pictures])

    @abstractmethod
    def load(self, block: Block) -> Tensor:
        """The batch's pictures, normalised and augmented: (B, C, H, W), float32."""


class ArraySplit(Split):
    """Pictures whose pixels are kept, in memory or in a mapped file; shifted and flipped batch by batch."""

    def __init__(
        self,
        pixels: Pixels,
        labels: Ints,
        colours: Colours,
        repeat: int = 1,
        shift: int = 0,
        flip: bool = False,
    ) -> None:
        super().__init__(labels, colours, repeat)
        self.pixels = pixels
        self.shift = shift
        self.flip = flip

    def load(self, block: Block) -> Tensor:
        """The batch's pictures, normalised and augmented: (B, C, H, W), float32."""
        x = self.colours.normalise(torch.from_numpy(self.pixels[block.pictures]))
        if block.key is None or not (self.shift or self.flip):
            return x
        return shift_flip(x, block.draws(SHIFT_FLIP_DRAWS), self.shift, self.flip)


def probe_batch(split: Split, samples: int) -> tuple[Tensor, Tensor]:
    """A fixed batch without augmentation, as many pictures of each class as of any other where possible.

    Raises DataError where the split has fewer pictures than that.
    """
    if samples > len(split):
        raise DataError(f"probe.samples is {samples}: there are only {len(split)} training pictures")
    pictures = balanced(split.labels, samples, "probe")
    block = Block(pictures, np.zeros_like(pictures), None)
    return split.load(block), split.labels_of(block)


def _parts(entries: Ints, batch: int) -> list[Ints]:
    return [entries[i : i + batch] for i in range(0, len(entries), batch)]


class StreamSplit(Split):
    """Picture files: training takes a random resized crop of each, evaluation a centre square.

    That square is ``share`` of the short side wide. A crop depends on the crops' seed, the epoch, the picture
    and its repeat, never on how many processes decode.
    """

    def __init__(self, files: Files, colours: Colours, repeat: int, size: int, share: float, loaders: int) -> None:
        super().__init__(files.labels, colours, repeat)
        self.files = files
        self.size = size
        self.share = share
        self.loaders = loaders

    def load(self, block: Block) -> Tensor:
        """The batch's pictures, normalised and augmented: (B, 3, size, size), float32."""
        return self.colours.normalise(self.decoded(block))

    def decoded(self, block: Block) -> Tensor:
        """The batch's pixels, uint8. Raises DataError naming the first file that is broken."""
        names = [self.files.names[i] for i in block.pictures]
        if block.key is None:
            pictures = [cache.whole(self.files, name, self.size, self.share) for name in names]
        else:
            draws = block.draws(RESIZED_CROP_DRAWS)
            pictures = [self._cropped(name, drawn) for name, drawn in zip(names, draws, strict=True)]
        return torch.from_numpy(np.stack(pictures))

    def _cropped(self, name: str, draws: NDArray[np.float64]) -> NDArray[np.uint8]:
        mirrored = False

        def choose(width: int, height: int) -> Box:
            nonlocal mirrored
            box, mirrored = random_box(width, height, draws)
            return box

        try:
            picture = decode(self.files.root / name, self.size, choose)
        except BadPicture as error:
            raise cache.unreadable(self.files.root / name, error) from error
        return picture[:, :, ::-1] if mirrored else picture

    def _loaded(self, blocks: Sequence[Block]) -> Iterator[tuple[Tensor, Tensor]]:
        loader = DataLoader(
            _Batches(self, blocks),
            batch_size=None,  # an item is a batch already
            num_workers=min(self.loaders, len(blocks)),
            generator=torch.Generator(),  # or the loader draws from the global one
        )
        for block, pixels in zip(blocks, loader, strict=True):
            if isinstance(pixels, DataError):
                raise pixels
            yield self.colours.normalise(pixels), self.labels_of(block)


class _Batches(Dataset[Tensor | DataError]):
    """Batches by number. Errors are returned: a loader's process would wrap a raised one in its traceback."""

    def __init__(self, split: StreamSplit, blocks: Sequence[Block]) -> None:
        self.split = split
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, number: int) -> Tensor | DataError:
        try:
            return self.split.decoded(self.blocks[number])
        except DataError as error:
            return error
