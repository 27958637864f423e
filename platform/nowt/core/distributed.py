"""The workers that share one run, as the training loop sees them: rank, size and collective operations.

``Group`` is a single worker: nothing is sent. ``Processes`` is several, connected by ``torch.distributed``.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class WorkersDiverged(Exception):
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
                raise WorkersDiverged(
                    f"{name} of worker {rank} is not bit for bit that of worker 0 {when}: a rule that learns B from a "
                    "worker's own pictures must settle it with moment.group, and all workers need one kind of hardware"
                )


def check_step(group: Group, step: int) -> None:
    """Raise Apart unless all workers begin at the same step: each has read the checkpoint by itself."""
    first, *others = (int(each) for each in group.gather(torch.tensor(step)))
    for rank, other in enumerate(others, 1):
        if other != first:
            raise WorkersDiverged(
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


class Processes(Group):
    """The workers of torch.distributed's default group.

    A tensor is sent from where it lies; flags lie on the CPU, so that no step waits for a GPU. On GPUs the group needs
    a backend for both: ``cpu:gloo,cuda:nccl``.
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()

    def divide(self, model: nn.Module, rehearse: Callable[[nn.Module], Tensor]) -> nn.Module:
        """See Group. torch's DDP; W and B are drawn by name on each worker, so nothing is sent to begin with, and
        batch norm's statistics stay each worker's own within an epoch.

        DDP arranges what it sends by its first backward pass, and sums of three and more hang on that. So it is
        rehearsed: a run that goes on sums in the order of one that never stopped.
        """
        parameters = [p for p in model.parameters() if p.requires_grad]
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        reached = torch.autograd.grad(rehearse(model), parameters, allow_unused=True)
        divided = DistributedDataParallel(
            model,
            forward_sync_buffers=False,
            init_sync=False,
            find_unused_parameters=any(gradient is None for gradient in reached),
        )
        rehearse(divided).backward()  # type: ignore[no-untyped-call]
        for parameter in parameters:
            parameter.grad = None
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
        return divided

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """See Group; sent as one."""
        together = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self.reduce(together, dist.ReduceOp.SUM)
        parts = torch.split(together, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """See Group."""
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(found, tensor)
        return found

    def any(self, *asked: bool) -> tuple[bool, ...]:
        """See Group."""
        answers = torch.tensor(asked, dtype=torch.uint8)
        self.reduce(answers, dist.ReduceOp.MAX)
        return tuple(bool(answer) for answer in answers)

    def reduce(self, tensor: Tensor, how: dist.ReduceOp.RedOpType) -> None:
        """All-reduce one tensor in place: all that is sent in a training step, but for DDP's gradients."""
        dist.all_reduce(tensor, how)

    def blames(self, error: BaseException) -> bool:
        """See Group: torch tells the loss of a peer by RuntimeErrors of many texts."""
        return isinstance(error, RuntimeError)
