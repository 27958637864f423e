"""The loss of a batch, and totals over an epoch."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nowt.config.run_config import RunConfig
from nowt.core.distributed import Group


def compute_loss(config: RunConfig, output: Tensor, y: Tensor) -> Tensor:
    """Return the mean loss over the batch; output: (n, classes), y: (n,)."""
    if config.loss == "binary":
        target = F.one_hot(y, output.shape[1]).to(output.dtype)
        return F.binary_cross_entropy_with_logits(output, target, reduction="sum") / len(y)
    return F.cross_entropy(output, y, label_smoothing=config.label_smoothing)


@dataclass
class Totals:
    """One worker's totals over the current epoch. They stay on the device, so that no step waits for a transfer."""

    loss: Tensor
    wrong: Tensor
    images: int = 0

    @classmethod
    def zero(cls, device: torch.device) -> "Totals":
        """Return totals of 0."""
        return cls(
            torch.zeros((), dtype=torch.float64, device=device), torch.zeros((), dtype=torch.float64, device=device)
        )

    def add(self, loss: Tensor, output: Tensor, y: Tensor) -> None:
        """Add one batch: its mean loss, and the errors of outputs, (n, classes), against labels, (n,)."""
        self.loss += loss.detach().double() * len(y)
        self.wrong += (output.detach().argmax(1) != y).sum()
        self.images += len(y)

    def sum_over(self, group: Group) -> "Totals":
        """Return the sum of the totals of all workers."""
        if group.size == 1:
            return self
        sums = torch.stack([self.loss, self.wrong, torch.full_like(self.loss, self.images)])
        group.sum([sums])
        return Totals(sums[0], sums[1], int(sums[2]))

    def mean(self) -> tuple[float, float]:
        """Return loss and error per image; NaN if there were none."""
        if self.images == 0:
            return math.nan, math.nan
        return float(self.loss) / self.images, float(self.wrong) / self.images
