"""Batch norm over groups of a fixed size, and the last gammas of residual blocks."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nowt.core.errors import ConfigError, require


class GroupedBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d whose training statistics are taken over groups of ``group`` consecutive samples.

    The running statistics advance by the mean over the groups of each one's mean and unbiased variance.
    They are linear in the groups, so the mean of several workers' buffers is what one worker with all the
    groups has. A batch of one group is nn.BatchNorm2d itself. Evaluation uses the running statistics,
    whatever the batch.
    """

    group: int
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W). Raises ValueError in training unless N is a multiple of ``group``."""
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
        # each group advances a copy of the old running statistics; the mean of the copies is the new ones
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
    """Make every nn.BatchNorm2d of ``model`` a GroupedBatchNorm2d, in place: names and values stay.

    Raises ConfigError where there is none, and for a batch norm that cannot be grouped.
    """
    norms = [(place, module) for place, module in model.named_modules() if isinstance(module, _BatchNorm)]
    require(norms != [], f"model.norm_group is {group}, but {name} has no batch norm: leave it out")
    for place, norm in norms:
        if type(norm) is not nn.BatchNorm2d or norm.momentum is None or norm.running_mean is None:
            raise ConfigError(
                f"model.norm_group cannot group {place} of {name}, a {type(norm).__name__}: "
                "it takes torch.nn.BatchNorm2d with running statistics and a momentum"
            )
        norm.__class__ = GroupedBatchNorm2d
        assert isinstance(norm, GroupedBatchNorm2d)
        norm.group = group


def zero_last_gammas(model: nn.Module, name: str) -> None:
    """Set γ of each residual block's last batch norm to 0, so that every block starts as its shortcut alone.

    Goyal et al. (2017), "Accurate, large minibatch SGD", section 5.1.
    Raises ConfigError where there is no such block.
    """
    norms = list(_last_norms(model))
    wanted = "no residual block with batch norm (one that torchvision would name bn2 or bn3, beside downsample)"
    require(norms != [], f"model.zero_init_gamma is on, but {name} has {wanted}: leave it off")
    for norm in norms:
        nn.init.zeros_(norm.weight)


def _last_norms(model: nn.Module) -> Iterator[nn.BatchNorm2d]:
    for block in model.modules():
        if hasattr(block, "downsample"):  # torchvision's name for the shortcut; None where it is the identity
            norm = getattr(block, "bn3", getattr(block, "bn2", None))
            if isinstance(norm, nn.BatchNorm2d) and norm.affine:
                yield norm
