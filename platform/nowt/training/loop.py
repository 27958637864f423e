"""The training loop: a generator of one Epoch record an epoch. No Ray and no MLflow in here.

measure the network before learning (epoch 0)
for each epoch:
    for each batch:
        forward with W, error back through B
        clip; rule.before_step; optimiser step; rule.after_step      (mirror mode happens here)
    score val (and test); measure alignment on the probe batch
    checkpoint; yield the Epoch
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.core.distributed import SINGLE_WORKER, Group, check_same_step
from nowt.data.datasets import DatasetSplits, open_data
from nowt.store.records import Epoch
from nowt.training import checkpoint
from nowt.training.state import TrainingState


class TrainingDiverged(Exception):
    """The loss is not finite; ``epoch`` is the one it happened in, ``cost`` the whole run's, as Epoch.cost."""

    def __init__(self, epoch: Epoch) -> None:
        super().__init__(epoch)  # as it was given: a worker process sends it on
        self.epoch, self.cost = epoch.epoch, epoch.cost

    def __str__(self) -> str:
        return f"diverged at epoch {self.epoch}"


class TrainingInterrupted(Exception):
    """The run was asked to stop; its checkpoint is written."""


def never() -> bool:
    """The answer of a run that nobody stops."""
    return False


def train(
    config: RunConfig,
    placement: Placement | None = None,
    *,
    data: DatasetSplits | None = None,
    checkpoints: Path | None = None,
    should_stop: Callable[[], bool] = never,
    should_save: Callable[[], bool] = never,
    group: Group = SINGLE_WORKER,
) -> Iterator[Epoch]:
    """Train one run and yield its epochs, beginning with epoch 0, the network before learning.

    ``placement`` is ``Placement()`` unless given: one thread, on a GPU if there is one.
    With ``checkpoints``, a folder, the run goes on from what lies there: the epochs that the checkpoint knows are
    yielded again first, then the rest, with losses equal bit for bit (on a CPU, with the same threads) to those of a
    run never stopped. After each batch ``should_stop`` is asked, and ``should_save`` whether a checkpoint is to be
    written there, besides those of ``placement``. With several workers each calls this with a ``group`` of its own: it
    trains on its share of each batch, yields the same epochs as the others, and stops where any of them is asked to.

    Raises Diverged where the loss is not finite, Interrupted after ``should_stop`` said so, ConfigError and DataError
    for a config or pictures that cannot be used, Apart where the workers' weights differ.
    """
    placement = placement or Placement()
    reset_globals(config, placement)
    data = data or open_data(config.data, placement, config.test)
    training = TrainingState.create(config, placement, data, group)
    if checkpoints is not None and (state := checkpoint.load(checkpoints, training.device)) is not None:
        training.load_state_dict(state)
    check_same_step(group, training.step)
    yield from training.epochs
    if not training.epochs:
        training.before_learning()
        yield _close(training, checkpoints)
    while training.epoch < config.epochs:
        _run_epoch(training, checkpoints, should_stop, should_save)
        yield _close(training, checkpoints)
    if checkpoints is not None and group.rank == 0:
        checkpoint.prune(checkpoints, max_to_keep=1)


def reset_globals(config: RunConfig, placement: Placement) -> None:
    """Set every global that torch has, since a reused process remembers the run before."""
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(placement.threads)
    torch.manual_seed(config.seed)


def _run_epoch(
    training: TrainingState, checkpoints: Path | None, should_stop: Callable[[], bool], should_save: Callable[[], bool]
) -> None:
    for x, y in training.remaining_batches():
        training.train_step(x, y)
        late = training.seconds_since_save() > training.placement.checkpoint_seconds
        stop, save = training.group.any(should_stop(), should_save() or late)
        if stop or save:
            _save(training, checkpoints)
        if stop:
            raise TrainingInterrupted


def _close(training: TrainingState, checkpoints: Path | None) -> Epoch:
    """Score the epoch, save it, and return its record."""
    epoch = training.close_epoch()
    if not training.is_finite():
        raise TrainingDiverged(epoch)
    _save(training, checkpoints)
    return epoch


def _save(training: TrainingState, checkpoints: Path | None) -> None:
    if checkpoints is None:
        return
    state = training.state_dict()
    if training.group.rank == 0:
        checkpoint.save(checkpoints, training.step, state, keep_epochs=training.placement.keep)
