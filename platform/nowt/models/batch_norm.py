"""Batch norm over groups of a fixed size, and zero initialization of the last γ of residual blocks."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nowt.core.errors import ConfigError, require


class GroupedBatchNorm2d(nn.BatchNorm2d):
    """An nn.BatchNorm2d whose training statistics are computed over groups of ``group`` consecutive samples.

    The running statistics are updated with the mean over groups of the group means and unbiased variances. This update
    is linear in the groups, so the mean of several workers' buffers equals the buffer of one worker that has all the
    groups. With one group per batch, the result equals that of nn.BatchNorm2d. Evaluation uses the running statistics,
    for batches of any size.
    """

    group: int
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x, (N, C, H, W). Raises ValueError in training unless N is a multiple of ``group``."""
        if not self.training or x.shape[0] == self.group:
            return super().forward(x)
        self._check_input_dim(x)
        if x.shape[0] % self.group != 0:
            raise ValueError(
                f"a batch of {x.shape[0]} cannot be split into groups of {self.group} for batch norm: "
                "model.norm_group must divide the batch on every worker"
            )
        return self._over_groups(x.chunk(x.shape[0] // self.group))

    def _over_groups(self, parts: tuple[Tensor, ...]) -> Tensor:
        # each group updates a copy of the old running statistics; their mean becomes the new running statistics
        means = self.running_mean.repeat(len(parts), 1)
        variances = self.running_var.repeat(len(parts), 1)
        assert self.momentum is not None
        outputs = [
            F.batch_norm(part, mean, variance, self.weight, self.bias, True, self.momentum, self.eps)
            for part, mean, variance in zip(parts, means, variances, strict=True)
        ]
        self.running_mean.copy_(means.mean(0))
        self.running_var.copy_(variances.mean(0))
        self.num_batches_tracked.add_(1)
        return torch.cat(outputs)


def group_batch_norms(model: nn.Module, group: int, name: str) -> None:
    """Turn every nn.BatchNorm2d of ``model`` into a GroupedBatchNorm2d in place, keeping names and values.

    Raises ConfigError if the model has no batch norm, or one that cannot be grouped.
    """
    norms = [(place, module) for place, module in model.named_modules() if isinstance(module, _BatchNorm)]
    require(norms != [], f"model.norm_group is {group}, but {name} has no batch norm: leave it at none")
    for place, norm in norms:
        if type(norm) is not nn.BatchNorm2d or norm.momentum is None or norm.running_mean is None:
            raise ConfigError(
                f"model.norm_group cannot group {place} of {name}, a {type(norm).__name__}: "
                "it must be a torch.nn.BatchNorm2d with running statistics and a momentum"
            )
        norm.__class__ = GroupedBatchNorm2d
        assert isinstance(norm, GroupedBatchNorm2d)
        norm.group = group


def zero_last_gammas(model: nn.Module, name: str) -> None:
    """Set γ of each residual block's last batch norm to 0, so that every block starts as its shortcut.

    Goyal et al. (2017), "Accurate, large minibatch SGD", section 5.1.
    Raises ConfigError if the model has no such block.
    """
    norms = list(_last_norms(model))
    missing = "no residual block with batch norm (named bn2 or bn3, next to downsample, as in torchvision)"
    require(norms != [], f"model.zero_init_gamma is on, but {name} has {missing}: leave it off")
    for norm in norms:
        nn.init.zeros_(norm.weight)


def _last_norms(model: nn.Module) -> Iterator[nn.BatchNorm2d]:
    for block in model.modules():
        if hasattr(block, "downsample"):  # torchvision's name of the shortcut; None for the identity
            norm = getattr(block, "bn3", getattr(block, "bn2", None))
            if isinstance(norm, nn.BatchNorm2d) and norm.affine:
                yield norm
