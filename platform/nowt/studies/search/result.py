"""The result of a search: the number of trials in each state, and the best trial of each cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nowt.core.formatting import counted
from nowt.store.chance import AT_CHANCE, SPLIT_NAMES, TOO_FEW_IMAGES, Score
from nowt.store.records import FAILED_STATES, TRANSPORT_DETECTED
from nowt.studies.search.space import SearchSpace

DIVERGED = "diverged"  # reason that the storage has of a diverged trial

STATES = {  # of a trial in Optuna; one that Optuna calls pruned has diverged or was stopped early
    "COMPLETE": "finished",
    "PRUNED": "stopped early",
    "FAIL": "failed",
    "RUNNING": "unfinished",
    "WAITING": "unfinished",
}


@dataclass(frozen=True)
class BestFinished:
    """The finished trial of a cell with the lowest error.

    Attributes:
        score: Its validation error after the last epoch.
        values: The values of its parameters.
    """

    score: Score
    values: Mapping[str, Any]

    def to_text(self) -> str:
        """Return the error and the values; of a trial that does not show that it has learned, only that."""
        error = f"{100 * self.score.error:.2f} %"
        if self.score.verdict == AT_CHANCE:
            return f"no trial learned: the best val error, {error}, is at chance"
        if self.score.verdict == TOO_FEW_IMAGES:
            images = counted(self.score.images, "image")
            return f"the best val error, {error} of {images}, is on too few images to tell from chance"
        values = ", ".join(f"{n} {v:.3g}" if isinstance(v, float) else f"{n} {v}" for n, v in self.values.items())
        return f"best val error {error} with {values}"


@dataclass(frozen=True)
class SearchResult:
    """The trials of a search when it ended or was interrupted."""

    space: SearchSpace
    states: dict[str, dict[str, int]]  # by cell: trials by state: one of STATES, diverged, or transport detected
    best: dict[str, BestFinished]  # by cell; cells without a finished trial are missing
    interrupted: bool
    capped: str = ""  # the spending cap that stopped it, and what is left, as text

    @property
    def failed(self) -> bool:
        """Whether a trial failed, also by a detected transport."""
        return any(state in FAILED_STATES for states in self.states.values() for state in states)

    def summary(self) -> str:
        """Return one line on the search, then one per cell."""
        lines = [f"search {self.space.key}: {self.space.budget.amount:g} {self.space.budget.unit} per cell"]
        for cell, states in self.states.items():
            counts = ", ".join(f"{number} {state}" for state, number in states.items())
            best = f"; {self.best[cell].to_text()}" if cell in self.best else ""
            lines.append(f"{cell}: {counts or 'no trials'}{best}")
        lines += [f"stopped at its cap of {self.capped}; a larger cap resumes it"] if self.capped else []
        return "\n".join(lines)


def search_result(
    space: SearchSpace, trials: Sequence[Any], facts: Mapping[str, Mapping[str, Any]], interrupted: bool, capped: str
) -> SearchResult:
    """Return the result of a search with these trials. A failed trial that was retried is omitted.

    ``facts`` are those of each cell's data: the numbers of classes and of validation images.
    """
    retried = {(trial.cell.name, trial.draw) for trial in trials if trial.state.name != "FAIL"}
    last = {(trial.cell.name, trial.draw): trial for trial in trials}
    states: dict[str, dict[str, int]] = {cell.name: {} for cell in space.cells}
    best: dict[str, BestFinished] = {}
    for trial in trials:
        name, state = trial.cell.name, _state(trial)
        draw = name, trial.draw
        if trial.state.name == "FAIL" and (draw in retried or last[draw] is not trial):
            continue
        states[name][state] = states[name].get(state, 0) + 1
        if state == "finished" and (name not in best or trial.errors[trial.last_epoch] < best[name].score.error):
            images = facts[name].get(SPLIT_NAMES["val"], 0)
            best[name] = BestFinished(
                Score(trial.errors[trial.last_epoch], facts[name]["classes"], images), trial.values
            )
    return SearchResult(space, states, best, interrupted, capped)


def _state(trial: Any) -> str:
    if trial.state.name == "FAIL" and trial.reason.startswith(TRANSPORT_DETECTED):
        return TRANSPORT_DETECTED
    return DIVERGED if trial.state.name == "PRUNED" and trial.reason == DIVERGED else STATES[trial.state.name]
