"""Image folders opened as data sets, and the message with which one is refused."""

from pathlib import Path

import pytest
import torch

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.data.datasets import DatasetSplits, open_data
from nowt.data.splits import Split

FOLDER = DataConfig("folder", size=16)


def placement(root: Path) -> Placement:
    return Placement(store=str(root.parent / "store"), data=str(root), loaders=1)


def opened(root: Path, config: DataConfig = FOLDER) -> DatasetSplits:
    return open_data(config, placement(root))


def refused(root: Path, config: DataConfig = FOLDER) -> str:
    with pytest.raises(DataError) as caught:
        opened(root, config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def in_order(split: Split | None) -> torch.Tensor:
    assert split is not None
    return torch.cat([x for x, _ in split.batches(7, drop_last=False)])
