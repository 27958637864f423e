"""``nowt train``: one run, in this process or on several workers, through the log and record of a study's runs."""

import math
from collections.abc import Callable
from pathlib import Path

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.execution.driver import PlannedRun
from nowt.execution.preparation import gone, pictures_of, plan_run, remarks
from nowt.execution.progress import ending
from nowt.execution.run_queue import RunQueue
from nowt.execution.runner import ExecutionOptions, work
from nowt.store.layout import Store
from nowt.store.locks import study_lock
from nowt.store.records import RunLog
from nowt.store.run_log import read
from nowt.training.retention import check_keep


def train_one(config: RunConfig, placement: Placement, say: Callable[[str], None]) -> int:
    """Train, print a line an epoch, and return the exit code."""
    from nowt.tracking.background import record_in_background

    store = Path(placement.store)
    check_keep(placement.keep, config.epochs)
    planned = plan_run(config.rule.name, config, pictures_of(config, placement))
    key = planned.key
    path = Store(store).log(key)
    if line := gone(store, (key,), placement.keep, placement.checkpoints):
        say(line)
    if path.exists() and read(path).state in ("finished", "diverged"):
        say(f"run {key} is {read(path).state} already: nowt show {key} --store {store}")
        return 0
    for line in remarks((planned,)):
        say(line)
    with study_lock(store, key), record_in_background(store, None) as record:
        attempts = 1

        def heard(planned: PlannedRun, run: RunLog) -> None:
            nonlocal attempts
            record.update(run, planned.cell, planned.seed)
            again, attempts = run.attempts > attempts, run.attempts
            say(f"run {run.key} goes on after epoch {max(run.last_epoch, 0)}" if again else _line(run))

        ledger = RunQueue(store, (planned,), heard)
        if work(ledger, ExecutionOptions(placement, in_process=not placement.shared), key, 1, ()).interrupted:
            raise KeyboardInterrupt
    return 0 if ledger.facts[key].state in ("finished", "diverged") else 1


def _line(run: RunLog) -> str:
    if run.state == "failed":
        return f"run {run.key} failed:\n{run.reason}"
    if run.state != "running":
        return f"run {run.key} {ending(run)}"
    if not run.epochs:
        return f"run {run.key} starts"
    e = run.epochs[-1]
    angles = sorted(layer.matrix_angle for layer in e.layers)
    aligned = f"  median matrix angle {angles[len(angles) // 2]:.1f}°" if angles else ""
    loss = "-" if math.isnan(e.train_loss) else f"{e.train_loss:.4f}"
    return f"epoch {e.epoch:3}  train loss {loss:6}  val error {100 * e.val_error:5.2f} %{aligned}"
