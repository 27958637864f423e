"""Scores the network on the images of a split: mean loss, error, and which images it classifies correctly."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nowt.config.run_config import RunConfig
from nowt.core.distributed import Group
from nowt.data.splits import Split
from nowt.training.device import autocast
from nowt.training.loss import Totals, compute_loss

FEWEST_PER_BATCH = 256  # images; scoring needs less memory than training


@dataclass(frozen=True, eq=False)
class Score:
    """Mean loss and error over the images of a split, and whether each is classified correctly: (N,)."""

    loss: float = math.nan
    error: float = math.nan
    correct: NDArray[np.bool_] | None = None


@torch.inference_mode()
def score(config: RunConfig, model: nn.Module, split: Split, place: Callable[[Tensor], Tensor], group: Group) -> Score:
    """Return the score of a model on a split. Each worker scores its share of every batch.

    ``place`` moves images to the device of the model, which is in eval mode meanwhile.
    """
    device, batch, shard = (
        next(model.parameters()).device,
        max(config.batch, FEWEST_PER_BATCH),
        (group.rank, group.size),
    )
    totals, correct = Totals.zero(device), torch.zeros(len(split), dtype=torch.int32, device=device)
    model.eval()
    for images, (x, y) in zip(split.shard_images(batch, shard), split.batches(batch, shard=shard), strict=True):
        y = y.to(device)
        with autocast(device, config.precision):
            output = model(place(x))
            totals.add(compute_loss(config, output, y), output, y)
        correct[torch.from_numpy(images).to(device)] = (output.argmax(1) == y).int()
    model.train()
    group.sum([correct])  # each image is scored by one worker
    return Score(*totals.sum_over(group).mean(), correct.cpu().numpy().astype(bool))
