"""The training loop: a generator that yields one Epoch record per epoch. It uses neither Ray nor MLflow.

measure the network before learning (epoch 0)
for each epoch:
    for each batch:
        forward with W, error back through B
        clip; rule.before_step; optimizer step; rule.after_step      (mirror mode happens here)
        audit the step, if it was drawn
    score val (and test); measure alignment on the probe batch
    checkpoint; yield the Epoch
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.core.distributed import SINGLE_WORKER, Group, check_same_step, never
from nowt.data.datasets import DatasetSplits, RunData
from nowt.store.audits import Audit
from nowt.store.files import check_present, make_folder
from nowt.store.records import Epoch
from nowt.training import checkpoint
from nowt.training.audit import begin, plan_audits, run_step
from nowt.training.audit_plan import ignore_audit
from nowt.training.device import reset_globals
from nowt.training.resumption import check_same_run, identity
from nowt.training.state import TrainingState
from nowt.training.state_form import check_state


class TrainingDiverged(Exception):
    """A loss of the training, validation or test images is not finite, before learning or after an epoch.

    Attributes:
        epoch: The epoch in which that happened.
        cost: Cost of the run up to the end of that epoch, as in ``Epoch.cost``.

    Example:
        >>> from dataclasses import replace
        >>> from nowt import OptimConfig, Placement, TrainingDiverged, recipes, train
        >>> config = recipes.shrink_config(recipes.digits(), epochs=1, images=64)
        >>> config = replace(config, optim=OptimConfig(lr=1e30, schedule="constant"))
        >>> try:
        ...     epochs = list(train(config, Placement(device="cpu")))
        ... except TrainingDiverged as error:
        ...     print(error)
        diverged at epoch 1
    """

    def __init__(self, epoch: Epoch) -> None:
        super().__init__(epoch)  # the constructor's argument, so that the exception can be pickled
        self.epoch, self.cost = epoch.epoch, epoch.cost

    def __str__(self) -> str:
        return f"diverged at epoch {self.epoch}"


class TrainingInterrupted(Exception):
    """``should_stop`` returned True. If ``train`` was given a checkpoint folder, the checkpoint is written.

    Example:
        >>> from nowt import Placement, TrainingInterrupted, recipes, train
        >>> config = recipes.shrink_config(recipes.digits(), epochs=1, images=64)
        >>> try:
        ...     for epoch in train(config, Placement(device="cpu"), should_stop=lambda: True):
        ...         print(epoch.epoch)
        ... except TrainingInterrupted:
        ...     print("interrupted")
        0
        interrupted
    """


def train(
    config: RunConfig,
    placement: Placement | None = None,
    *,
    data: DatasetSplits | None = None,
    checkpoints: Path | None = None,
    should_stop: Callable[[], bool] = never,
    should_save: Callable[[], bool] = never,
    on_audit: Callable[[Audit], None] = ignore_audit,
    group: Group = SINGLE_WORKER,
) -> Iterator[Epoch]:
    """Train one run and yield a record of each epoch, beginning with epoch 0, the network before learning.

    If ``checkpoints`` holds a checkpoint, training resumes from it: the epochs that it contains are yielded again, then
    the remaining ones. On a CPU with the same number of threads, the losses equal those of an uninterrupted run bit for
    bit.

    Args:
        config: What decides the numbers: model, data, rule, optimizer, number of epochs, seeds.
        placement: Device, threads, checkpoint interval and folder of the data set. ``store``, ``slots`` and ``workers``
            are not used here. Default: ``Placement()``: one thread, on a GPU if there is one.
        data: An opened data set, to share it between runs. Default None: open the one that ``config.data`` names.
        checkpoints: Folder in which to save checkpoints and from which to resume. Default None: no checkpoints.
        should_stop: Called after each batch; training stops at a checkpoint when it returns True.
        should_save: Called after each batch; a checkpoint is written when it returns True, in addition to the regular
            ones.
        on_audit: Called with each audited step when it is done, and again when a run resumes. ``placement.audit`` says
            how many there are.
        group: This worker's connection to the others that train the same run. Each worker calls ``train`` and receives
            its share of every batch; all yield the same epochs, and all stop when one is asked to. Default: one worker.

    Returns:
        An iterator of ``Epoch`` records: losses, errors as fractions, and alignment per layer in degrees. Training
        advances as it is consumed.

    Raises:
        TrainingDiverged: If a loss is not finite, before learning or after an epoch.
        TrainingInterrupted: After ``should_stop`` returned True.
        TransportDetected: If an audited step shows that the rule reads W, although it does not declare that.
        ConfigError: If the configuration does not fit the data, the model, the device or the number of workers, or if
            the checkpoints are of a run with other settings or images.
        DataError: If the data set's files are not as expected.
        WorkersDiverged: If the workers' weights differ.
        OSError: If a checkpoint cannot be written, or the parent of ``checkpoints`` was moved or removed meanwhile.

    Example:
        >>> from dataclasses import replace
        >>> from nowt import KolenPollack, Placement, recipes, train
        >>> config = recipes.shrink_config(recipes.digits(KolenPollack()), epochs=1, images=64)
        >>> epochs = list(train(config, Placement(device="cpu")))
        >>> [epoch.epoch for epoch in epochs]
        [0, 1]
        >>> epochs[1].val_error < 1.0
        True
        >>> all(75 < layer.matrix_angle < 105 for layer in epochs[0].layers)
        True
    """
    placement = placement or Placement()
    reset_globals(config, placement)
    data = data or RunData.of(config).open(placement)
    training = TrainingState.create(config, placement, data, group)
    if checkpoints is not None and (state := checkpoint.load(checkpoints, check_state)) is not None:
        check_same_run(state, config, data.fingerprint, checkpoints)
        training.load_state_dict(state)
    check_same_step(group, training.step)
    plan_audits(training, on_audit)
    if checkpoints is not None and group.rank == 0:
        make_folder(checkpoints.parent)
    yield from training.epochs
    if not training.epochs:
        begin(training)
        yield _close(training, checkpoints)
    while training.epoch < config.epochs:
        _run_epoch(training, checkpoints, should_stop, should_save)
        yield _close(training, checkpoints)
    if checkpoints is not None and group.rank == 0:
        checkpoint.prune(checkpoints, max_to_keep=1)


def _run_epoch(
    training: TrainingState, checkpoints: Path | None, should_stop: Callable[[], bool], should_save: Callable[[], bool]
) -> None:
    for x, y in training.remaining_batches():
        run_step(training, x, y)
        late = time.monotonic() - training.saved_at > training.placement.checkpoint_seconds
        stop, save = training.group.any(should_stop(), should_save() or late)
        if stop or save:
            _save(training, checkpoints)
        if stop:
            raise TrainingInterrupted


def _close(training: TrainingState, checkpoints: Path | None) -> Epoch:
    """Close the epoch, save it, and return its record. Raises TrainingDiverged if a loss is not finite."""
    epoch = training.close_epoch()
    if not training.is_finite(epoch):
        raise TrainingDiverged(epoch)
    _save(training, checkpoints)
    return epoch


def _save(training: TrainingState, checkpoints: Path | None) -> None:
    if checkpoints is None:
        return
    state = {**training.state_dict(), "run": identity(training.config, training.data.fingerprint)}
    if training.group.rank == 0:
        check_present(checkpoints.parent)
        checkpoint.save(checkpoints, training.step, state, keep_epochs=training.placement.keep)
