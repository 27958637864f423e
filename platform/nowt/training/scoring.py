"""Scores the network on the images of a split: mean loss and error."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nowt.config.run_config import RunConfig
from nowt.core.distributed import Group
from nowt.data.splits import Split
from nowt.training.device import autocast
from nowt.training.loss import Totals, compute_loss

FEWEST_PER_BATCH = 256  # images; scoring needs less memory than training


@torch.inference_mode()
def score(
    config: RunConfig, model: nn.Module, split: Split, place: Callable[[Tensor], Tensor], group: Group
) -> tuple[float, float]:
    """Return the mean loss and error over a split. Each worker scores its share of every batch.

    ``place`` moves images to the device of the model. The model is in eval mode meanwhile.
    """
    device = next(model.parameters()).device
    totals = Totals.zero(device)
    model.eval()
    for x, y in split.batches(max(config.batch, FEWEST_PER_BATCH), shard=(group.rank, group.size)):
        y = y.to(device)
        with autocast(device, config.precision):
            output = model(place(x))
            totals.add(compute_loss(config, output, y), output, y)
    model.train()
    return totals.sum_over(group).mean()
