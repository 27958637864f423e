"""A run's network as one of its checkpoints has it, and the pictures that it is shown."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig, RunConfig
from nowt.config.run_key import run_key
from nowt.core.errors import DataError, require
from nowt.data.datasets import Data, open_data
from nowt.data.splits import Split, probe_batch
from nowt.evaluation.probes.checkpoints import Kept
from nowt.evaluation.probes.isolation import own_generator
from nowt.training import checkpoint
from nowt.training.loss import compute_loss
from nowt.training.state import PARAMETER_DTYPES, TrainingState

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Network:
    """A run's network, rebuilt from its seed; checkpoints are loaded into it one after the other."""

    training: TrainingState

    @property
    def model(self) -> nn.Module:
        """In eval mode, with its rule attached."""
        return self.training.model.eval()

    def load(self, path: Path) -> None:
        """Load a checkpoint. Raises one of checkpoint.READ_ERRORS for a file that does not fit this network."""
        state = checkpoint.read(path, self.training.device)
        self.training.model.load_state_dict(state["model"])

    def copy(self) -> nn.Module:
        """The network as it is now."""
        return copy.deepcopy(self.model)

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The run's own mean loss, of output and labels."""
        return lambda output, y: compute_loss(self.training.config, output, y)


@dataclass(frozen=True)
class Networks:
    """Rebuilds runs of a study; pictures are opened once for each data set they use."""

    placement: Placement
    split: str
    pictures: int
    opened: dict[tuple[DataConfig, bool], Data] = field(default_factory=dict)

    def of(self, run: Kept) -> Network:
        """The network before learning. Raises DataError where the pictures are not those that the run had."""
        data = self._data(run.config)
        if run_key(run.config, data.fingerprint) != run.key:
            raise DataError(
                f"run {run.key} ({run.name}) was trained with other pictures, another rule, or another version of nowt"
            )
        with own_generator(torch.device("cpu")):
            return Network(TrainingState.create(run.config, self.placement, data))

    def batch(self, run: Kept, device: torch.device) -> tuple[Tensor, Tensor]:
        """The same pictures for all runs of a data set, as many of each class as of any other, without augmentation.

        Raises ConfigError where the split has too few, or the run's test pictures are closed.
        """
        x, y = probe_batch(self._split(run.config), self.pictures)
        form = torch.channels_last if run.config.channels_last else torch.contiguous_format
        return x.to(device, PARAMETER_DTYPES[run.config.precision], memory_format=form), y.to(device)

    def _split(self, config: RunConfig) -> Split:
        require(config.test or self.split != "test", "--split is test: this study never opens its test pictures")
        split: Split = getattr(self._data(config), self.split)
        many, group = len(split), config.model.norm_group
        require(
            self.pictures <= many, f"--pictures is {self.pictures}: the {self.split} split has only {many} pictures"
        )
        require(
            group is None or self.pictures % group == 0,
            f"--pictures is {self.pictures}: it must be a multiple of model.norm_group, which is {group}",
        )
        return split

    def _data(self, config: RunConfig) -> Data:
        key = (config.data, config.test)
        if key not in self.opened:
            self.opened[key] = open_data(config.data, self.placement, config.test)
        return self.opened[key]


def autocast(config: RunConfig, device: torch.device) -> Any:
    """The number format that the run computes in."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
