"""The workers that share one run, as the loop sees them: which of how many this one is, and what it settles with them.

``Group`` itself is a worker alone: nothing is sent, and every answer is its own. ``nowt.processes`` has the other kind.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn


class Apart(Exception):
    """The workers no longer have the same weights: their run cannot go on."""


class Group:
    """One worker alone. Every method is called by all workers of a run at the same point of it."""

    rank: int = 0
    size: int = 1

    def divide(self, model: nn.Module, rehearse: Callable[[nn.Module], Tensor]) -> nn.Module:
        """``model`` as the loop calls it: its backward pass leaves the mean gradient over the workers. ``rehearse``
        gives a loss of the model it is called with; nothing of the model changes."""
        return model

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Make each of the tensors, of one type and device, its sum over the workers, in place."""

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Each worker's tensor, of one shape, by rank."""
        return [tensor]

    def any(self, *asked: bool) -> tuple[bool, ...]:
        """For each question, whether any worker says yes."""
        return asked

    def blames(self, error: BaseException) -> bool:
        """Whether the error may be that another worker is gone."""
        return False


ALONE = Group()


def check_same(group: Group, tensors: Mapping[str, Tensor], when: str) -> None:
    """Raise Apart, naming the first of them, unless all workers have the same tensors, bit for bit."""
    if group.size == 1 or not tensors:
        return
    first, *others = group.gather(torch.tensor([_digest(tensor) for tensor in tensors.values()]))
    for rank, other in enumerate(others, 1):
        for name, equal in zip(tensors, (first == other).tolist(), strict=True):
            if not equal:
                raise Apart(
                    f"{name} of worker {rank} is not bit for bit that of worker 0 {when}: a rule that learns B from a "
                    "worker's own pictures must settle it with moment.group, and all workers need one kind of hardware"
                )


def check_step(group: Group, step: int) -> None:
    """Raise Apart unless all workers begin at the same step: each has read the checkpoint by itself."""
    first, *others = (int(each) for each in group.gather(torch.tensor(step)))
    for rank, other in enumerate(others, 1):
        if other != first:
            raise Apart(
                f"worker {rank} begins at step {other} and worker 0 at step {first}: the store must be a folder that "
                "all workers share, or --checkpoints name a bucket"
            )


def largest(group: Group, value: float) -> float:
    """The largest of the workers' values."""
    return max(float(each) for each in group.gather(torch.tensor(value, dtype=torch.float64)))


def _digest(tensor: Tensor) -> int:
    """A 63-bit hash of the tensor's numbers."""
    numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return int.from_bytes(hashlib.blake2b(numbers, digest_size=8).digest(), "big") >> 1
