"""Communication between the workers that share a run: rank, size and collective operations.

``Group`` is a single worker, which sends nothing. ``ProcessGroup`` connects several by ``torch.distributed``.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class WorkersDiverged(Exception):
    """The workers no longer have the same weights, so that their run cannot continue."""


class Group:
    """Communication between the workers of a run. This base class is the single-worker case. Every method is
    collective: all workers call it at the same point."""

    rank: int = 0
    size: int = 1

    def wrap_model(self, model: nn.Module, rehearse: Callable[[nn.Module], Tensor]) -> nn.Module:
        """Return ``model`` so that its backward pass computes the mean gradient over the workers.

        ``rehearse`` computes a loss of the model that it is called with. It does not change the model.
        """
        return model

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the workers, in place. The tensors share a type and a device."""

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all workers, by rank. They must have the same shape."""
        return [tensor]

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return, for each flag, whether it is set on any worker."""
        return flags

    def is_peer_failure(self, error: BaseException) -> bool:
        """Return whether the error may be caused by the loss of another worker."""
        return False


SINGLE_WORKER = Group()


def never() -> bool:
    """Return False: the default of ``should_stop`` and ``should_save``."""
    return False


def check_identical(group: Group, tensors: Mapping[str, Tensor], when: str) -> None:
    """Raise WorkersDiverged, naming the first tensor that differs, unless all workers have identical tensors."""
    if group.size == 1 or not tensors:
        return
    first, *others = group.gather(torch.tensor([_digest(tensor) for tensor in tensors.values()]))
    for rank, other in enumerate(others, 1):
        for name, equal in zip(tensors, (first == other).tolist(), strict=True):
            if not equal:
                raise WorkersDiverged(
                    f"{name} of worker {rank} is not bit for bit that of worker 0 {when}: a rule that learns B from "
                    "each worker's images must sum them with layer.sum_over_workers, and all workers need the same "
                    "hardware"
                )


def check_same_step(group: Group, step: int) -> None:
    """Raise WorkersDiverged unless all workers begin at the same step, since each reads the checkpoint itself."""
    first, *others = (int(each) for each in group.gather(torch.tensor(step)))
    for rank, other in enumerate(others, 1):
        if other != first:
            raise WorkersDiverged(
                f"worker {rank} begins at step {other} and worker 0 at step {first}: the store must be a folder that "
                "all workers share, or copy checkpoints to a bucket (--checkpoints, Placement.checkpoints)"
            )


def max_over_workers(group: Group, value: float) -> float:
    """Return the largest value over the workers."""
    return max(float(each) for each in group.gather(torch.tensor(value, dtype=torch.float64)))


def _digest(tensor: Tensor) -> int:
    """Return a 63-bit hash of the tensor's numbers."""
    numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return int.from_bytes(hashlib.blake2b(numbers, digest_size=8).digest(), "big") >> 1


class ProcessGroup(Group):
    """The workers of torch.distributed's default group.

    Tensors are sent from their own device. Flags are on the CPU, so that no step waits for a GPU. With GPUs the group
    needs a backend for both: ``cpu:gloo,cuda:nccl``.
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()

    def wrap_model(self, model: nn.Module, rehearse: Callable[[nn.Module], Tensor]) -> nn.Module:
        """Return ``model`` in DDP. Each worker draws W and B by name, so nothing is broadcast at the start. Batch
        norm's statistics stay local within an epoch.

        DDP arranges its buckets in the first backward pass, and the rounding of sums over three or more workers depends
        on them. The rehearsal makes a resumed run sum in the same order as an uninterrupted one.
        """
        parameters = [p for p in model.parameters() if p.requires_grad]
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        rehearse(model).backward()  # type: ignore[no-untyped-call]
        unused = any(parameter.grad is None for parameter in parameters)
        for parameter in parameters:
            parameter.grad = None
        divided = DistributedDataParallel(
            model, forward_sync_buffers=False, init_sync=False, find_unused_parameters=unused
        )
        rehearse(divided).backward()  # type: ignore[no-untyped-call]
        for parameter in parameters:
            parameter.grad = None
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
        return divided

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the workers, in place. All tensors are sent as one."""
        together = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self.reduce(together, dist.ReduceOp.SUM)
        parts = torch.split(together, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all workers, by rank. They must have the same shape."""
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(found, tensor)
        return found

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return, for each flag, whether it is set on any worker."""
        answers = torch.tensor(flags, dtype=torch.uint8)
        self.reduce(answers, dist.ReduceOp.MAX)
        return tuple(bool(answer) for answer in answers)

    def reduce(self, tensor: Tensor, how: dist.ReduceOp.RedOpType) -> None:
        """All-reduce one tensor in place. Everything sent in a training step, except DDP's gradients, passes here."""
        dist.all_reduce(tensor, how)

    def is_peer_failure(self, error: BaseException) -> bool:
        """Return whether the error is a RuntimeError; torch reports the loss of a peer as one, with many different
        messages."""
        return isinstance(error, RuntimeError)
