"""Workers of one run as threads of this process, whose collective operations give the same numbers every time."""

from collections.abc import Callable, Sequence
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any, TypeVar

import torch
from torch import Tensor

from nowt.core.distributed import Group

S = TypeVar("S")
T = TypeVar("T")

TIMEOUT = 30  # seconds that a worker waits for another one


class UnequalCalls(Exception):
    """The workers do not call the same collective operations in the same order."""


class _Exchange:
    """Shows every worker what each of them brings."""

    def __init__(self, size: int) -> None:
        self.brought: list[Any] = [None] * size
        self.barrier = Barrier(size, timeout=TIMEOUT)

    def bring(self, rank: int, call: str, value: Any) -> list[Any]:
        """Return the values of all workers, by rank. Raises UnequalCalls if their calls differ."""
        self.brought[rank] = (call, value)
        self.barrier.wait()
        found = list(self.brought)
        self.barrier.wait()  # so that nobody brings the next value before all have this one
        if len({call for call, _ in found}) > 1:
            raise UnequalCalls("the workers do not sum the same values in the same order")
        return [value for _, value in found]


class ThreadGroup(Group):
    """One worker of several that are threads."""

    def __init__(self, rank: int, size: int, exchange: _Exchange) -> None:
        self.rank, self.size, self._exchange = rank, size, exchange

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the workers, in the order of their ranks."""
        shapes = f"sum {[tuple(tensor.shape) for tensor in tensors]}"
        everyone = self._exchange.bring(self.rank, shapes, [tensor.detach().clone() for tensor in tensors])
        for tensor, parts in zip(tensors, zip(*everyone, strict=True), strict=True):
            tensor.copy_(torch.stack(parts).sum(0))

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all workers, by rank."""
        return self._exchange.bring(self.rank, "gather", tensor.detach().clone())

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return, for each flag, whether it is set on any worker."""
        return tuple(any(each) for each in zip(*self._exchange.bring(self.rank, "any", flags), strict=True))


def run_together(size: int, build: Callable[[Group], S], work: Callable[[S], T]) -> list[T]:
    """Return what ``work`` returns on each of ``size`` workers, which run at the same time.

    Each worker is built first, one after another, since all share the global random states of the process.

    Raises UnequalCalls if the workers call other collective operations, and otherwise the first worker's exception.
    """
    exchange = _Exchange(size)
    workers = [build(ThreadGroup(rank, size, exchange)) for rank in range(size)]
    found: dict[int, T] = {}
    errors: list[Exception] = []

    def run(rank: int) -> None:
        torch.set_num_threads(1)
        try:
            found[rank] = work(workers[rank])
            exchange.bring(rank, "end", None)
        except Exception as error:
            errors.append(error)
            exchange.barrier.abort()

    threads = [Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((error for error in errors if not isinstance(error, BrokenBarrierError)), errors[0])
    return [found[rank] for rank in range(size)]
