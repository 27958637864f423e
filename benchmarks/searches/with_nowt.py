"""nowt's search on a surrogate: its scheduler, its samplers and its early stopping, with real epoch logs."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from optuna.storages import InMemoryStorage

from nowt.execution import preparation
from nowt.execution.run_queue import RunQueue
from nowt.store.records import Epoch, epoch_to_json
from nowt.store.study_file import write_study_file
from nowt.studies.search.early_stopping import first_rung, rungs
from nowt.studies.search.scheduler import SearchScheduler
from nowt.studies.search.space import Budget, SearchSpace, space_to_json
from nowt.studies.search.trial_storage import TrialStorage
from searches.meter import Meter

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # logs that need not be on a disk

FACTS = {"fingerprint": "f", "classes": 10, "skipped": [], "not_replaced": []}


def search(meter: Meter, seed: int, settings: Mapping[str, Any] | None = None) -> None:
    """Search with nowt's defaults, or with other ``settings`` of the SearchSpace."""
    cell = meter.surrogate.cell
    budget = Budget(meter.budget * _shown(meter), "presentations")
    space = SearchSpace("quality", "Which setting is best?", (cell,), budget, seed=seed, **(settings or {}))
    # the rules' code cannot change meanwhile, so that it need not be hashed for every trial
    certificate = patch.object(preparation, "certificate_name", return_value="")
    with certificate, TemporaryDirectory(dir=MEMORY) as folder:
        scheduler = _scheduler(space, meter, Path(folder))
        while (decision := scheduler.decide()).do == "start":
            _run(scheduler, decision.key, meter)


def _shown(meter: Meter) -> int:
    """Return the number of images that an epoch shows."""
    repeat: int = meter.surrogate.cell.config.data.repeat
    return meter.training * repeat


def _scheduler(space: SearchSpace, meter: Meter, store: Path) -> SearchScheduler:
    """Return the scheduler that ``nowt search`` would drive; Optuna's storage is in memory."""
    (cell,) = space.cells
    first = first_rung(space.stopping, cell.config, _shown(meter) // cell.config.batch)
    study_file, _ = write_study_file(store, space.key, space_to_json(space))
    trials = TrialStorage.open(space, InMemoryStorage())
    facts = {cell.name: {**FACTS, "training": meter.training}}
    epochs = {cell.name: rungs(space.stopping, first, cell.config.epochs)}
    return SearchScheduler(space, RunQueue(store, ()), trials, facts, epochs, study_file)


def _run(scheduler: SearchScheduler, key: str, meter: Meter) -> None:
    """Train a trial until it ends or the scheduler stops it."""
    values = scheduler.open_trials[key][0].values
    scheduler.begin(key)
    scheduler.receive(key, {"kind": "start"})
    for epoch, error in meter.train(values):
        shown = epoch * _shown(meter)
        record = Epoch(epoch, epoch, 0.1, 1.0, error, 1.0, error, 1.0, error, shown, 0, float(shown), float(epoch), 0.0)
        if not scheduler.receive(key, {"kind": "epoch", "epoch": epoch_to_json(record)}):
            return
    scheduler.receive(key, {"kind": "end", "state": "finished", "reason": ""})
