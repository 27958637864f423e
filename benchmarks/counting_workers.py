"""A process group that counts the bytes passed to all-reduce, for tests and benchmarks of what a rule sends."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nowt.core.distributed import ProcessGroup


class CountingGroup(ProcessGroup):
    """A process group that counts the bytes each worker passes to all-reduce: DDP's gradients, and everything else."""

    def __init__(self) -> None:
        super().__init__()
        self.gradients = 0
        self.others = 0

    def wrap_model(self, model: nn.Module, rehearse: Callable[[nn.Module], Tensor]) -> nn.Module:
        """See Group; DDP gets a hook that counts what it sends."""
        divided = super().wrap_model(model, rehearse)
        divided.register_comm_hook(None, self._hook)  # type: ignore[operator]
        return divided

    def _hook(self, state: object, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
        """Make a bucket the mean over the workers, and count it. DDP insists on the annotations."""
        self.gradients += bucket.buffer().nbytes
        sent = dist.all_reduce(bucket.buffer().div_(self.size), async_op=True).get_future()
        return sent.then(lambda done: done.value()[0])

    def reduce(self, tensor: Tensor, how: dist.ReduceOp.RedOpType) -> None:
        """Count a tensor, and reduce it."""
        self.others += tensor.nbytes
        super().reduce(tensor, how)
