"""The result of a search: the number of trials in each state, and the best trial of each cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nowt.studies.search.space import SearchSpace


@dataclass(frozen=True)
class SearchResult:
    """The trials of a search when it ended or was interrupted."""

    space: SearchSpace
    states: dict[str, dict[str, int]]  # by cell: trials by state
    best: dict[str, tuple[float, dict[str, Any]]]  # by cell: the lowest error of a complete trial, and its values
    interrupted: bool
    capped: str = ""  # the spending cap that stopped it, and what is left, as text

    def summary(self) -> str:
        """Return one line on the search, then one per cell."""
        lines = [f"search {self.space.key}: {self.space.budget.amount:g} {self.space.budget.unit} per cell"]
        for cell, states in self.states.items():
            counts = ", ".join(f"{number} {state}" for state, number in states.items())
            lines.append(f"{cell}: {counts or 'no trials'}{self._best(cell)}")
        lines += [f"stopped at its cap of {self.capped}; a larger cap resumes it"] if self.capped else []
        return "\n".join(lines)

    def _best(self, cell: str) -> str:
        if cell not in self.best:
            return ""
        error, values = self.best[cell]
        setting = ", ".join(f"{n} {v:.3g}" if isinstance(v, float) else f"{n} {v}" for n, v in values.items())
        return f"; best val error {100 * error:.2f} % with {setting}"


def search_result(space: SearchSpace, trials: Sequence[Any], interrupted: bool, capped: str) -> SearchResult:
    """Return the result of a search with these trials. Failed trials that were retried are omitted."""
    retried = {(trial.cell.name, trial.draw) for trial in trials if trial.state.name != "FAIL"}
    states: dict[str, dict[str, int]] = {cell.name: {} for cell in space.cells}
    best: dict[str, tuple[float, dict[str, Any]]] = {}
    for trial in trials:
        if trial.state.name == "FAIL" and (trial.cell.name, trial.draw) in retried:
            continue
        name, state = trial.cell.name, trial.state.name.lower()
        states[name][state] = states[name].get(state, 0) + 1
        if state == "complete" and (name not in best or trial.errors[trial.last_epoch] < best[name][0]):
            best[name] = (trial.errors[trial.last_epoch], trial.values)
    return SearchResult(space, states, best, interrupted, capped)
