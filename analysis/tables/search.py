"""The table of a search: for each cell its trials, the best one, how many are near the best, and the total cost."""

import math
from typing import Any

import pandas as pd

from analysis.frames.schema import enforce_schema
from analysis.frames.searches import SearchPlan
from analysis.frames.study import counted_runs, rows
from analysis.frames.trials import Trials
from analysis.tables.writers import Tabular, markdown, markdown_text
from nowt.core.formatting import counted
from nowt.store.chance import AT_CHANCE, LEARNED, TOO_FEW_IMAGES
from nowt.store.records import FAILED_STATES

POINTS = (1, 2, 5)  # percentage points above the best error within which trials are counted

SEARCH_TABLE = {
    "cell": "str",
    "rule": "str",
    "trials": "int64",
    "complete": "int64",  # finished all epochs
    "stopped": "int64",  # stopped early
    "diverged": "int64",
    "failed": "int64",
    "unfinished": "int64",  # running or not started
    "best_error_percent": "float64",  # of finished trials after the last epoch, on the validation images
    "best_trial": "Int64",
    "best_run": "str",
    "best_values": "str",
    "within_1_percent": "float64",  # percentage of finished and diverged trials within 1 point of the best
    "within_2_percent": "float64",
    "within_5_percent": "float64",
    "presentations": "float64",  # of all trials, mirror samples included
    "flops": "float64",  # of all trials, mirror mode included
    "seconds": "float64",  # of all trials, spent in training steps
}

NOT_LEARNED = {
    AT_CHANCE: " (at chance: no trial of this cell learned)",
    TOO_FEW_IMAGES: " (too few images to tell from chance)",
}

STATES = {"complete": ["finished"], "stopped": ["stopped"], "diverged": ["diverged"], "failed": FAILED_STATES}


def search_table(trials: Trials) -> pd.DataFrame:
    """Summarize the trials of a search.

    Args:
        trials: The trials of a search.

    Returns:
        One row per cell in the search's order, columns ``SEARCH_TABLE``; NaN for what is not available.

    Example:
        >>> search_table(trials)[["cell", "best_error_percent", "best_values"]]  # doctest: +SKIP
    """
    table = pd.DataFrame([_row(trials, cell) for cell in trials.plan.cells])
    return enforce_schema(table, SEARCH_TABLE)


def _row(trials: Trials, cell: str) -> dict[str, Any]:
    here = trials.frame[trials.frame["cell"] == cell]
    counts = {name: int(here["state"].isin(states).sum()) for name, states in STATES.items()}
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
    """Return the best finished trial, and the percentages of trials near it."""
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
        # The tolerance keeps a trial that is exactly one point above the best within one point.
        **{f"within_{points}_percent": 100 * (above <= points + 1e-9).mean() for points in POINTS},
    }


def _values(trials: Trials, trial: "pd.Series[Any]") -> str:
    """Return the trial's settings as text, without those it does not have."""
    names = [setting.name for setting in trials.plan.settings[trial["cell"]]]
    values = {name: trial[name] for name in names if not pd.isna(trial[name])}
    return "; ".join(f"{n} {v:.3g}" if isinstance(v, float) else f"{n} {v}" for n, v in values.items())


def results_table(table: pd.DataFrame, plan: SearchPlan) -> Tabular:
    """Return the table, and its numbers (columns SEARCH_TABLE)."""
    near = [f"within {counted(points, 'point')}, %" for points in POINTS]
    head = ["cell", "rule", "trials", *STATES, "best validation error, %", *near, "presentations", "TFLOP", "time, min"]
    return Tabular("table", f"Results of search {plan.name}", head, [*map(_line, rows(table))], table, texts=2)


def search_markdown(table: pd.DataFrame, trials: Trials) -> str:
    """Return the table as Markdown, followed by the settings of each cell's best trial."""
    drawn = markdown(results_table(table, trials.plan))
    best = [_best_line(row, trials) for row in rows(table[table["best_run"].notna()])]
    return f"{drawn}\nSettings of the best trials:\n\n{''.join(best)}" if best else drawn


def _best_line(row: Any, trials: Trials) -> str:
    name = f"{row.cell}, trial {row.best_trial}"
    not_learned = NOT_LEARNED.get(trials.unlearned.get(name, LEARNED), "")
    return f"- {markdown_text(f'{name} (run {row.best_run}): {row.best_values}{not_learned}')}\n"


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
