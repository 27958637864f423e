"""Pictures decoded as they are needed, each time with another crop, by processes of their own."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nowt.data import cache
from nowt.data.augment import RESIZED_CROP_DRAWS, Box, random_box
from nowt.data.decode import BadPicture, decode
from nowt.data.errors import DataError
from nowt.data.pictures import Files
from nowt.data.split import Block, Colours, Split


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
