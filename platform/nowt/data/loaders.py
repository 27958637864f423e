"""Processes that decode batches of images, kept over the epochs of a run."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from nowt.core.errors import DataError
from nowt.data.sampler import BatchIndices

Decoded = Tensor | DataError

Decode = Callable[[BatchIndices], Tensor]  # a batch's pixels, uint8; sent to the processes by pickle


class Loaders:
    """Loader processes of one split.

    They are started by a server process that holds neither CUDA nor Ray, at the first batch. They end with this object.

    Args:
        decode: What they do with each batch.
        count: How many processes, at least 1.
    """

    def __init__(self, decode: Decode, count: int) -> None:
        self.selected = _Selected([])
        self.loader = DataLoader(
            _Batches(decode),
            batch_size=None,  # each item is already a batch
            sampler=self.selected,
            num_workers=count,
            persistent_workers=True,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context=_context(),
            generator=torch.Generator(),  # otherwise the loader draws from the global generator
        )

    def decode(self, selected: Sequence[BatchIndices]) -> Iterator[Tensor]:
        """Yield the pixels of these batches, uint8. Raises DataError naming the first broken or changed file."""
        self.selected.batches = selected
        with _without_main():
            decoded: Iterator[Decoded] = iter(self.loader)
        for pixels in decoded:
            if isinstance(pixels, DataError):
                raise pixels
            yield pixels


class _Selected(Sampler[BatchIndices]):
    """The batches of an epoch, which change although the loader stays."""

    def __init__(self, batches: Sequence[BatchIndices]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[BatchIndices]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _Batches(Dataset[Decoded]):
    """Decoded batches. Errors are returned, because a loader process would wrap a raised one in its traceback."""

    def __init__(self, decode: Decode) -> None:
        self.decode = decode

    def __getitem__(self, indices: BatchIndices) -> Decoded:
        try:
            return self.decode(indices)
        except DataError as error:
            return error


def _context() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(["nowt.data.stream_split"])
    return context


@contextmanager
def _without_main() -> Iterator[None]:
    """Context manager in which new processes do not run the user's script again, which they do not need."""
    main = vars(sys.modules["__main__"])
    kept: dict[str, object] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    main.update(dict.fromkeys(kept))
    try:
        yield
    finally:
        main.update(kept)
