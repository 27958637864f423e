"""A search of a rule's settings: a space of values, Optuna's proposals, early stopping, and the runs that try them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nowt.config import Placement, require
from nowt.ledger import Ledger, Planned, held, write_atomically
from nowt.log import RunLog
from nowt.search.space import Budget, Cell, Choice, Param, Range, Space, Stopping, When, in_time, space_to_json


@dataclass(frozen=True)
class Outcome:
    """How a search ended, or where it was interrupted."""

    space: Space
    states: dict[str, dict[str, int]]  # by cell: trials by state
    best: dict[str, tuple[float, dict[str, Any]]]  # by cell: the lowest error of a whole trial, and its values
    interrupted: bool

    def summary(self) -> str:
        """A line a cell, after one on the whole."""
        lines = [f"search {self.space.key}: {self.space.budget.amount:g} {self.space.budget.unit} a cell"]
        for cell, states in self.states.items():
            counts = ", ".join(f"{number} {state}" for state, number in states.items())
            lines.append(f"{cell}: {counts or 'no trial'}{self._best(cell)}")
        return "\n".join(lines)

    def _best(self, cell: str) -> str:
        if cell not in self.best:
            return ""
        error, values = self.best[cell]
        spoken = ", ".join(f"{n} {v:.3g}" if isinstance(v, float) else f"{n} {v}" for n, v in values.items())
        return f"; best val error {100 * error:.2f} % with {spoken}"


def search(
    space: Space, placement: Placement, *, storage: str | None, in_process: bool, say: Callable[[str], None]
) -> Outcome:
    """Spend the space's budget; run again, it goes on where it stopped. ``storage``: Optuna's, by URL.

    Raises ConfigError where another process runs this search, DataError where its pictures cannot be used, OSError
    where Optuna's storage cannot.
    """
    from nowt.record import open_quietly
    from nowt.search.decisions import Decisions, storage_at
    from nowt.search.driver import Search

    store = Path(placement.store)
    pictures, rungs = _prepare(space, placement, say)
    with held(store, space.key):
        sheet = _sheet(store, space, say)
        with open_quietly(store, sheet) as record:
            progress = _Progress(space, say)

            def heard(planned: Planned, run: RunLog) -> None:
                record.update(run, planned.cell, planned.seed)
                progress.heard(planned, run)

            url = storage or f"sqlite:///{store.resolve()}/optuna.db"
            decisions = Decisions.open(space, storage_at(url))
            driver = Search(space, Ledger(store, (), heard), decisions, pictures, rungs, sheet)
            driver.recall()
            progress.quiet = False
            whole = driver.done or _hands(driver, placement, space.key, in_process)
    return _outcome(space, decisions.trials, not whole)


def quick(space: Space) -> Space:
    """The space shrunk to a few minutes: two epochs, few pictures, three trials a cell; a search of its own."""
    cells = tuple(_quick(cell) for cell in space.cells)
    return replace(space, name=f"{space.name}_quick", cells=cells, budget=Budget(3))


def _quick(cell: Cell) -> Cell:
    from nowt.train import quick as shrink

    config = shrink(cell.config)
    pace = config.epochs / cell.config.epochs
    return Cell(cell.name, config, tuple(in_time(param, pace) for param in cell.params))


def _prepare(
    space: Space, placement: Placement, say: Callable[[str], None]
) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[int, ...]]]:
    """The facts of each cell's pictures, and its rungs: the first is the same for all cells."""
    from nowt.ablate import pictures_of
    from nowt.search.proposals import grid_size
    from nowt.search.stopping import first_rung, rungs

    pictures = {cell.name: pictures_of(cell.config, placement) for cell in space.cells}
    steps = {c.name: pictures[c.name]["training"] * c.config.data.repeat // c.config.batch for c in space.cells}
    first = max(first_rung(space.stopping, cell.config, steps[cell.name]) for cell in space.cells)
    found = {cell.name: rungs(space.stopping, first, cell.config.epochs) for cell in space.cells}
    if space.stopping.kind != "none" and not any(found.values()):
        say("no trial is stopped early: kp could not align before the last epoch (stopping.first_rung sets one)")
    if space.sampler == "grid":
        for cell in space.cells:
            most = grid_size(cell)
            require(
                space.budget.unit == "trials" and space.budget.amount <= most,
                f"search {space.name}: the grid of {cell.name} has {most} points; give a budget of as many trials",
            )
    return pictures, found


def _sheet(store: Path, space: Space, say: Callable[[str], None]) -> dict[str, Any]:
    """The resolved search, written down at its first start; with the runs of its trials as they come."""
    folder = store / "studies"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{space.key}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    others = sorted(p.stem for p in folder.glob(f"{space.name}-????????.json") if p != path)
    if others and not known:
        say(f"{space.name} has changed since {', '.join(others)}: this is a new search, {space.key}")
    created = known.get("created", time.time_ns() // 1_000_000)
    sheet = {**space_to_json(space), "key": space.key, "created": created, "runs": known.get("runs", [])}
    write_atomically(path, json.dumps(sheet, indent=1) + "\n")
    return sheet


def _hands(driver: Any, placement: Placement, name: str, in_process: bool) -> bool:
    if in_process:
        from nowt.hands import in_process as alone

        return alone.run(driver, placement)
    from nowt.hands import tune

    return tune.run(driver, placement, name, placement.at_a_time)


@dataclass
class _Progress:
    """Says a line for each trial that ends."""

    space: Space
    say: Callable[[str], None]
    quiet: bool = True  # while earlier trials are recalled
    ended: int = 0

    def heard(self, planned: Planned, run: RunLog) -> None:
        if run.state == "running":
            return
        self.ended += 1
        if self.quiet:
            return
        error = f"val error {100 * run.epochs[-1].val_error:.2f} %" if run.epochs else "no epoch"
        why = f" ({run.reason.strip().splitlines()[-1]})" if run.state == "failed" and run.reason.strip() else ""
        self.say(
            f"[{self.ended}] {planned.cell} {run.state} after {run.last_epoch} epochs: {error}{why} (run {run.key})"
        )


def _outcome(space: Space, trials: list[Any], interrupted: bool) -> Outcome:
    states: dict[str, dict[str, int]] = {cell.name: {} for cell in space.cells}
    best: dict[str, tuple[float, dict[str, Any]]] = {}
    for trial in trials:
        name, state = trial.cell.name, trial.state.name.lower()
        states[name][state] = states[name].get(state, 0) + 1
        if state == "complete" and (name not in best or trial.errors[trial.last_epoch] < best[name][0]):
            best[name] = (trial.errors[trial.last_epoch], trial.values)
    return Outcome(space, states, best, interrupted)


__all__ = [
    "Budget",
    "Cell",
    "Choice",
    "Outcome",
    "Param",
    "Range",
    "Space",
    "Stopping",
    "When",
    "in_time",
    "quick",
    "search",
]
