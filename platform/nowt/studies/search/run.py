"""A search of a rule's settings: a space of values, Optuna's proposals, early stopping, and the runs that try them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nowt.config.placement import Placement
from nowt.core.errors import require
from nowt.execution.driver import PlannedRun
from nowt.execution.preparation import gone
from nowt.execution.run_queue import RunQueue
from nowt.execution.runner import Ending, ExecutionOptions, work
from nowt.store.layout import Store
from nowt.store.locks import study_lock
from nowt.store.records import RunLog
from nowt.store.study_file import StudyFile, read_study_file, write_study_file
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.progress import SearchProgress
from nowt.studies.search.result import SearchResult, search_result
from nowt.studies.search.space import EarlyStopping, SearchSpace, space_to_json
from nowt.training.retention import check_keep

if TYPE_CHECKING:
    from nowt.studies.search.driver import SearchDriver


def search(
    space: SearchSpace, how: ExecutionOptions, say: Callable[[str], None], storage: str | None = None
) -> SearchResult:
    """Spend the space's budget; run again, it goes on where it stopped. ``storage``: Optuna's, by URL.

    Raises ConfigError where another process runs this search or the URL is none, DataError where its pictures cannot be
    used, OSError where Optuna's storage cannot.
    """
    from nowt.studies.search.driver import SearchDriver
    from nowt.studies.search.trial_storage import TrialStorage

    store = Path(how.placement.store)
    own = f"sqlite:///{Store(store.resolve()).optuna_db}"
    url = _absolute(storage or own)
    elsewhere = "" if url == own else url
    pictures, rungs = _prepare(space, how.placement, say)
    _check_storage(store, space, elsewhere)
    with study_lock(store, space.key), _held_at(url, store, space.key), TrialStorage.at(space, url) as trials:
        trials.check(pictures, store)
        study_file = _begin(store, space, elsewhere, say)
        if line := gone(store, [run.key for run in study_file.runs], how.placement.keep, how.placement.checkpoints):
            say(line)
        driver = SearchDriver(
            space, RunQueue(store, (), lambda planned, run: None), trials, pictures, rungs, study_file
        )
        ending = _spend(driver, how, say)
    driver.queue.release()
    return search_result(space, trials.trials, ending.interrupted, _left(driver, how) if ending.capped else "")


def _absolute(url: str) -> str:
    """The URL, a file's from the root on: the same file may be given from another folder."""
    path = url.removeprefix("sqlite:///")
    return f"sqlite:///{Path(path).resolve()}" if path and path != url else url


def _left(driver: "SearchDriver", how: ExecutionOptions) -> str:
    """The cap that stopped it, and what is left to do."""
    begun = sum(map(len, driver.open_trials.values()))
    rest = f" and the rest of {begun} trial{'s' * (begun > 1)}" if begun else ""
    return f"{how.cap.spoken()}, {100 * (1 - driver.share):.0f} % of the budget{rest} left"


def _spend(driver: "SearchDriver", how: ExecutionOptions, say: Callable[[str], None]) -> Ending:
    """Run trials until the budget or the cap is spent, or the user interrupts; each is recorded and told of."""
    from nowt.tracking.background import record_in_background

    progress = SearchProgress(driver.space, say)
    with record_in_background(driver.queue.store, driver.study_file) as record:

        def heard(planned: PlannedRun, run: RunLog) -> None:
            record.update(run, planned.cell, planned.seed)
            progress.update(planned, run)

        driver.queue.heard = heard
        driver.recall()
        progress.begin(lambda: driver.share, driver.storage.ended)
        runs = [run.key for run in driver.study_file.runs]
        return work(driver, how, driver.space.key, how.placement.concurrent_runs, runs)


def _held_at(url: str, store: Path, key: str) -> AbstractContextManager[None]:
    """The search, held where its storage lies in a file of another place, too: another store may use it."""
    folder = Path(url.removeprefix("sqlite:///")).parent
    elsewhere = url.startswith("sqlite:///") and folder.is_dir() and folder.resolve() != store.resolve()
    return study_lock(folder, key) if elsewhere else nullcontext()


def _check_storage(store: Path, space: SearchSpace, storage: str) -> None:
    """Raise ConfigError for a search that was begun with another storage: all its trials would be run again."""
    path = Store(store).study_file(space.key)
    found = read_study_file(path).storage if path.exists() else None
    then = storage if found is None else found
    begun = f"with --storage {then}: give that again" if then else "without --storage: leave it out"
    moved = f'(where its trials have moved, change "storage" in {path})'
    require(then == storage, f"search {space.name} was begun {begun} {moved}")


def _begin(store: Path, space: SearchSpace, storage: str, say: Callable[[str], None]) -> StudyFile:
    """The resolved search, written down at its first start, and its rules certified."""
    from nowt.execution.preparation import certificates

    study_file, remark = write_study_file(store, space.key, {**space_to_json(space), "storage": storage})
    if remark:
        say(remark)
    certificates(store, [cell.config.rule for cell in space.cells], say)
    return study_file


def _why_not(stopping: EarlyStopping, first: int) -> str:
    if stopping.first_rung is not None:
        return f"its first rung, epoch {first}, is not before the last epoch"
    return "kp could not align before the last epoch (--first-rung sets one)"


def _pictures_of(cell: SearchCell, placement: Placement) -> dict[str, Any]:
    """The facts of the cell's pictures. Raises ConfigError where they, the devices or the workers do not suffice for a
    trial: for its batch, its net, its probe."""
    from nowt.execution.preparation import pictures_of
    from nowt.training.feasibility import sizes

    for config in cell.candidate_configs():
        sizes(config, placement.workers)
    facts = pictures_of(cell.config, placement)
    looked_at = {(cell.config.data, cell.config.model, cell.config.batch, cell.config.probe.samples)}
    for config in cell.extreme_configs():
        what = (config.data, config.model, config.batch, config.probe.samples)
        if what not in looked_at:
            looked_at.add(what)
            pictures_of(config, placement)
    return facts


def _prepare(
    space: SearchSpace, placement: Placement, say: Callable[[str], None]
) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[int, ...]]]:
    """The facts of each cell's pictures, and its rungs: the first is the same for all cells."""
    from nowt.studies.search.early_stopping import first_rung, rungs

    check_keep(placement.keep, max(cell.config.epochs for cell in space.cells))
    pictures = {cell.name: _pictures_of(cell, placement) for cell in space.cells}
    steps = {c.name: pictures[c.name]["training"] * c.config.data.repeat // c.config.batch for c in space.cells}
    first = max(first_rung(space.stopping, cell.config, steps[cell.name]) for cell in space.cells)
    found = {cell.name: rungs(space.stopping, first, cell.config.epochs) for cell in space.cells}
    if space.stopping.kind != "none" and not any(found.values()):
        say(f"no trial is stopped early: {_why_not(space.stopping, first)}")
    if space.sampler == "grid":
        for cell in space.cells:
            most = cell.grid_size
            require(
                space.budget.unit == "trials" and space.budget.amount <= most,
                f"search {space.name}: the grid of {cell.name} has {most} points; give a budget of as many trials",
            )
    return pictures, found
