"""Rebuilds the network of a run, loads its checkpoints, and provides the batch of images that all runs share."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.config.run_key import run_key
from nowt.core.errors import DataError, require
from nowt.core.formatting import counted
from nowt.core.random_state import preserved_random_state
from nowt.data.datasets import DatasetSplits, RunData
from nowt.data.splits import Split, probe_batch
from nowt.evaluation.probes.checkpoints import RunCheckpoints
from nowt.training import checkpoint
from nowt.training.device import PARAMETER_DTYPES
from nowt.training.loss import compute_loss
from nowt.training.state import TrainingState
from nowt.training.state_form import check_state

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class RunNetwork:
    """The network of a run, rebuilt from its seed. Checkpoints are loaded into it one after the other."""

    training: TrainingState

    @property
    def model(self) -> nn.Module:
        """The network in eval mode, with its rule attached."""
        return self.training.model.eval()

    def load(self, path: Path) -> None:
        """Load a checkpoint. Raises DamagedCheckpoint if it cannot be read or has another network."""
        state = checkpoint.read(path, check_state)
        try:
            self.training.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise checkpoint.DamagedCheckpoint(f"it has another network: {checkpoint.first_line(error)}") from error

    def copy(self) -> nn.Module:
        """Return a copy of the network in its current state."""
        return copy.deepcopy(self.model)

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The run's mean loss, a function of output and labels."""
        return lambda output, y: compute_loss(self.training.config, output, y)


@dataclass(frozen=True)
class NetworkBuilder:
    """Rebuilds networks of a study's runs. Each data set is opened once."""

    placement: Placement
    split: str
    images: int  # in the batch
    opened: dict[RunData, DatasetSplits] = field(default_factory=dict)

    def build(self, run: RunCheckpoints) -> RunNetwork:
        """Return the run's network before learning.

        Raises:
            DataError: If the images, the rule or the version of nowt differ from those of the run.
        """
        data = self._data(run.config)
        if run_key(run.config, data.fingerprint) != run.key:
            raise DataError(
                f"run {run.key} ({run.name}) was trained with other images, another rule, or another version of nowt"
            )
        with preserved_random_state(torch.device("cpu")):
            return RunNetwork(TrainingState.create(run.config, self.placement, data))

    def batch(self, run: RunCheckpoints, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return images and labels: the same for all runs with one split, balanced over classes, not augmented.

        Raises:
            ConfigError: If the split has too few images, or the run does not use its test images.
        """
        x, y = probe_batch(self._split(run.config), self.images)
        memory_format = torch.channels_last if run.config.channels_last else torch.contiguous_format
        return x.to(device, PARAMETER_DTYPES[run.config.precision], memory_format=memory_format), y.to(device)

    def _split(self, config: RunConfig) -> Split:
        require(
            bool(config.test) or self.split != "test", "--split is test, but this study does not use its test images"
        )
        split: Split = getattr(self._data(config), self.split)
        size, group = len(split), config.model.norm_group
        require(
            self.images <= size,
            f"--images is {self.images}, but the {self.split} split has only {counted(str(size), 'image')}",
        )
        require(
            group is None or self.images % group == 0,
            f"--images is {self.images}: must be a multiple of model.norm_group, which is {group}",
        )
        return split

    def _data(self, config: RunConfig) -> DatasetSplits:
        data = RunData.of(config)
        if data not in self.opened:
            self.opened[data] = data.open(self.placement)
        return self.opened[data]


def autocast(config: RunConfig, device: torch.device) -> Any:
    """Return a context manager for the run's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
