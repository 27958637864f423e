"""The table of a search: one row a cell, what its trials came to, how forgiving it was and what the tuning cost."""

import math
from typing import Any

import pandas as pd

from analysis.frames.schema import checked
from analysis.frames.searches import SearchPlan
from analysis.frames.study import counted_runs, rows
from analysis.frames.trials import Trials
from analysis.tables.writers import Tabular, markdown

POINTS = (1, 2, 5)  # percentage points from the best within which a trial counts as near it

SEARCH_TABLE = {
    "cell": "str",
    "rule": "str",
    "trials": "int64",
    "complete": "int64",  # finished: those that ran all their epochs
    "stopped": "int64",  # early
    "diverged": "int64",
    "failed": "int64",
    "unfinished": "int64",  # running or not started
    "best_error_percent": "float64",  # of a finished trial after its last epoch, on the validation pictures
    "best_trial": "Int64",
    "best_run": "str",
    "best_values": "str",
    "within_1_percent": "float64",  # share of the finished and diverged trials within 1 point of the best
    "within_2_percent": "float64",
    "within_5_percent": "float64",
    "presentations": "float64",  # of all trials, mirror samples included
    "flops": "float64",  # of all trials, mirror mode included
    "seconds": "float64",  # of all trials, in training steps
}

STATES = {"complete": "finished", "stopped": "stopped", "diverged": "diverged", "failed": "failed"}


def search_table(trials: Trials) -> pd.DataFrame:
    """One row a cell in the search's order, columns SEARCH_TABLE; NaN where there is nothing to say."""
    table = pd.DataFrame([_row(trials, cell) for cell in trials.plan.cells])
    return checked(table, SEARCH_TABLE)


def _row(trials: Trials, cell: str) -> dict[str, Any]:
    here = trials.frame[trials.frame["cell"] == cell]
    counts = {name: int((here["state"] == state).sum()) for name, state in STATES.items()}
    return {
        "cell": cell,
        "rule": trials.plan.cells[cell]["rule"]["name"],
        "trials": len(here),
        **counts,
        "unfinished": len(here) - sum(counts.values()),
        **_best(trials, here),
        **{name: here[name].sum() for name in ("presentations", "flops", "seconds")},
    }


def _best(trials: Trials, here: pd.DataFrame) -> dict[str, Any]:
    """The best finished trial, and the shares of those near it."""
    finished = here[here["state"] == "finished"]
    if finished.empty:
        return dict.fromkeys(name for name in SEARCH_TABLE if name.startswith(("best", "within")))
    best = finished.nsmallest(1, "error").iloc[0]
    above = 100 * (counted_runs(here)["error"] - best["error"])
    return {
        "best_error_percent": 100 * best["error"],
        "best_trial": best["trial"],
        "best_run": best["run"],
        "best_values": _values(trials, best),
        # A trial that is a point above the best to the last digit is within a point.
        **{f"within_{points}_percent": 100 * (above <= points + 1e-9).mean() for points in POINTS},
    }


def _values(trials: Trials, trial: "pd.Series[Any]") -> str:
    """The trial's settings, as far as it had them."""
    names = [setting.name for setting in trials.plan.settings[trial["cell"]]]
    values = {name: trial[name] for name in names if not pd.isna(trial[name])}
    return "; ".join(f"{n} {v:.3g}" if isinstance(v, float) else f"{n} {v}" for n, v in values.items())


def results_table(table: pd.DataFrame, plan: SearchPlan) -> Tabular:
    """The table for people, and its numbers (columns SEARCH_TABLE)."""
    near = [f"within {points} pt, %" for points in POINTS]
    head = ["cell", "rule", "trials", *STATES, "best val error, %", *near, "presentations", "TFLOP", "time, min"]
    return Tabular("table", f"What the search {plan.name} found", head, [*map(_line, rows(table))], table, texts=2)


def search_markdown(table: pd.DataFrame, plan: SearchPlan) -> str:
    """The table for people, and below it the settings of each cell's best trial."""
    drawn = markdown(results_table(table, plan))
    best = [
        f"- {row.cell}, trial {row.best_trial} (run {row.best_run}): {row.best_values}\n"
        for row in rows(table[table["best_run"].notna()])
    ]
    return f"{drawn}\nSettings of each best:\n\n{''.join(best)}" if best else drawn


def _line(row: Any) -> list[str]:
    return [
        row.cell,
        row.rule,
        *[str(getattr(row, name)) for name in ("trials", *STATES)],
        _number(row.best_error_percent, ".2f"),
        *[_number(getattr(row, f"within_{points}_percent"), ".0f") for points in POINTS],
        f"{row.presentations:,.0f}",
        f"{row.flops / 1e12:,.3g}",
        f"{row.seconds / 60:.1f}",
    ]


def _number(value: float, digits: str) -> str:
    return "–" if math.isnan(value) else f"{value:{digits}}"
