"""Workers in processes of their own that speak through torch.distributed: gloo on CPUs, NCCL on GPUs."""

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nowt.group import Group


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
