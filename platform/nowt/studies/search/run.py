"""``nowt search``: runs the trials that Optuna proposes in a search space until the budget is spent."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nowt.config.placement import Placement
from nowt.core.errors import Echo, require
from nowt.core.formatting import counted
from nowt.core.urls import absolute_database_url, sqlite_file, sqlite_url
from nowt.execution.lifecycle import StudyExecution
from nowt.execution.notices import data_notices
from nowt.execution.preparation import distinct_rules, inspect_data, start_facts
from nowt.execution.run_queue import RunQueue
from nowt.execution.runner import ExecutionOptions
from nowt.execution.slots import find_slots
from nowt.store.layout import Store
from nowt.store.locks import study_lock
from nowt.store.study_file import read_study_file
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.progress import SearchProgress
from nowt.studies.search.result import SearchResult, search_result
from nowt.studies.search.space import EarlyStopping, SearchSpace, space_to_json
from nowt.studies.superseded import Superseded, check_superseded, search_settings, superseded_trials
from nowt.training.feasibility import worker_counts
from nowt.training.retention import check_keep

if TYPE_CHECKING:
    from nowt.studies.search.scheduler import SearchScheduler


def search(space: SearchSpace, options: ExecutionOptions, echo: Echo, storage: str | None = None) -> SearchResult:
    """Run trials until the space's budget is spent. Called again, it resumes. ``storage`` is the URL of Optuna's
    storage.

    Raises ConfigError if another process runs this search or the URL is malformed, DataError if its data cannot be
    read, OSError if Optuna's storage is not accessible.
    """
    from nowt.studies.search.scheduler import SearchScheduler
    from nowt.studies.search.trial_storage import TrialStorage

    execution = StudyExecution(space.key, options, echo)
    store = execution.store
    own = sqlite_url(Store(store.resolve()).optuna_db)
    url = absolute_database_url(storage or own)
    other = "" if url == own else url
    facts, rungs = _prepare(space, options.placement, echo)
    _check_storage(store, space, other)
    check_superseded(space.name, _superseded(store, space, facts), options, echo)
    with (
        execution.lock(),
        _unchanged_storage(store, space, other),
        _storage_lock(url, store, space.key),
        TrialStorage.connect(space, url) as trials,
    ):
        trials.check(facts, store)
        rules = [cell.config.rule for cell in space.cells]
        notices = data_notices(facts.values())
        study_file = execution.record({**space_to_json(space), "storage": other}, rules, notices=notices)
        scheduler = SearchScheduler(space, RunQueue(store, ()), trials, facts, rungs, study_file)
        progress = SearchProgress(space, echo, lambda: scheduler.spent_share, lambda: trials.ended)
        outcome = execution.run(scheduler, progress, find_slots(options.placement).count, study_file)
    capped = _describe_cap(scheduler, options) if outcome.capped else ""
    return search_result(space, trials.trials, facts, outcome.interrupted, capped)


def _superseded(store: Path, space: SearchSpace, facts: dict[str, dict[str, Any]]) -> list[Superseded]:
    data = space_to_json(space)
    cells = {}
    for cell, listed in zip(space.cells, data["cells"], strict=True):
        start = start_facts(cell.config, facts[cell.name])
        cells[cell.name] = {**start, "config": search_settings(data, listed)}
    return superseded_trials(store, space.name, space.key, cells)


def _describe_cap(scheduler: "SearchScheduler", options: ExecutionOptions) -> str:
    """Return a description of the cap that stopped the search, and of the remaining work."""
    begun = sum(map(len, scheduler.open_trials.values()))
    rest = f" and the rest of {counted(begun, 'trial')}" if begun else ""
    return f"{options.cap.to_text()}, {100 * (1 - scheduler.spent_share):.0f} % of the budget{rest} left"


def _storage_lock(url: str, store: Path, key: str) -> AbstractContextManager[None]:
    """Lock the search beside its storage if that is a file in another folder, since another store may use the same
    file."""
    file = sqlite_file(url)
    elsewhere = file is not None and file.parent.is_dir() and file.parent.resolve() != store.resolve()
    return study_lock(file.parent, key) if file is not None and elsewhere else nullcontext()


def _unchanged_storage(store: Path, space: SearchSpace, storage: str) -> AbstractContextManager[None]:
    """Check the storage again, now that the search is locked: another process may have begun it since."""
    _check_storage(store, space, storage)
    return nullcontext()


def _check_storage(store: Path, space: SearchSpace, storage: str) -> None:
    """Raise ConfigError if the search was started with another storage, since all its trials would run again."""
    path = Store(store).study_file(space.key)
    found = read_study_file(path).storage if path.exists() else None
    then = storage if found is None else found
    begun = f"with --storage {then}: give that again" if then else "without --storage: leave it out"
    moved = f'(if its trials have moved, change "storage" in {path})'
    file = sqlite_file(then)  # earlier versions wrote some characters of its URL otherwise
    same = then == storage or (file is not None and file == sqlite_file(storage))
    require(same, f"search {space.name} was begun {begun} {moved}")


def _why_not(stopping: EarlyStopping, first: int) -> str:
    if stopping.first_rung is not None:
        return f"its first rung, epoch {first}, is not before the last epoch"
    return "kp could not align before the last epoch (--first-rung sets one)"


def _inspect_cell(cell: SearchCell, placement: Placement, seed: int) -> dict[str, Any]:
    """Return the facts of the data of the cell's trials, which run with ``seed``. Raises ConfigError if the data, the
    devices or the workers do not suffice for one of its trials: for its batch, its model, its probe."""
    for config in cell.candidate_configs():
        worker_counts(config, placement.workers)
    extremes = list(cell.extreme_configs())
    facts = inspect_data(replace(cell.config, seed=seed), placement, distinct_rules(extremes))
    inspected = {(cell.config.data, cell.config.model, cell.config.batch, cell.config.probe.samples)}
    for config in extremes:
        inputs = (config.data, config.model, config.batch, config.probe.samples)
        if inputs not in inspected:
            inspected.add(inputs)
            inspect_data(replace(config, seed=seed), placement)
    return facts


def _prepare(
    space: SearchSpace, placement: Placement, echo: Echo
) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[int, ...]]]:
    """Return the facts of each cell's data, and its rungs. The first rung is the same for all cells."""
    from nowt.studies.search.early_stopping import first_rung, rungs

    check_keep(placement.keep, max(cell.config.epochs for cell in space.cells))
    facts = {cell.name: _inspect_cell(cell, placement, space.run_seed) for cell in space.cells}
    steps = {c.name: facts[c.name]["training"] * c.config.data.repeat // c.config.batch for c in space.cells}
    first = max(first_rung(space.stopping, cell.config, steps[cell.name]) for cell in space.cells)
    found = {cell.name: rungs(space.stopping, first, cell.config.epochs) for cell in space.cells}
    if space.stopping.kind != "none" and not any(found.values()):
        echo(f"no trial is stopped early: {_why_not(space.stopping, first)}")
    if space.sampler == "grid":
        _check_grid(space)
    return facts, found


def _check_grid(space: SearchSpace) -> None:
    """Raise ConfigError if the budget is not a number of trials that every cell's grid has."""
    for cell in space.cells:
        require(
            space.budget.unit == "trials" and space.budget.amount <= cell.grid_size,
            f"search {space.name}: the grid of {cell.name} has {counted(cell.grid_size, 'point')}; use a budget "
            "of at most as many trials",
        )
