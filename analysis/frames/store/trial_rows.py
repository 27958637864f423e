"""The trials of a search as rows: columns TRIALS, and one column per setting searched."""

from typing import Any

import orjson
import pandas as pd

from analysis.frames.schema import enforce_schema
from analysis.frames.searches import SearchPlan
from analysis.frames.store.logs import Logs
from nowt.store.records import chance_error

TRIALS = {
    "run": "str",  # run key
    "cell": "str",
    "rule": "str",
    "trial": "int64",  # trial number in its cell, from 0
    "state": "str",  # not started, running, finished, diverged, stopped (early), failed, transport detected
    "reason": "str",
    "error": "float64",  # on the validation images after its last epoch; chance, 1 - 1/classes, if it diverged
    "epochs": "int64",  # epochs trained
    "presentations": "float64",  # mirror samples included
    "flops": "float64",
    "seconds": "float64",  # spent in training steps, mirror mode included
}

COSTS = ["presentations", "flops", "seconds"]


def trial_columns(plan: SearchPlan) -> dict[str, str]:
    """Return the columns of the plan's trials and their types: TRIALS, then a number or text per setting."""
    numeric: dict[str, bool] = {}
    for setting in (setting for varied in plan.settings.values() for setting in varied):
        numeric[setting.name] = setting.numeric and numeric.get(setting.name, True)
    return TRIALS | {name: "float64" if number else "str" for name, number in numeric.items()}


def trial_frame(logs: Logs, plan: SearchPlan) -> pd.DataFrame:
    """Return the plan's trials, ordered by cell and number. Raises ValueError if a log cannot be read."""
    order = {cell: number for number, cell in enumerate(plan.cells)}
    planned = sorted(plan.runs, key=lambda run: (order[run[1]], run[2]))
    columns = trial_columns(plan)
    frame = pd.DataFrame([_row(plan, logs, *run) for run in planned], columns=list(columns))
    ends = [plan.stopped[run][0] if run in plan.stopped else None for run in planned]
    costs = _costs(logs, list(frame["run"]), ends)
    frame[COSTS] = costs[COSTS]
    error = frame["error"].astype("float64").fillna(costs["val_error"])  # a diverged run already has its error
    return enforce_schema(frame.assign(error=error), columns)


def _row(plan: SearchPlan, logs: Logs, run: str, cell: str, number: int) -> dict[str, Any]:
    log = logs.get(run)
    facts, state, reason, epochs = log.facts, log.outcome, log.reason, max(log.last_epoch, 0)
    if stopped := plan.stopped.get((run, cell, number)):  # another search may have resumed it since
        state, (epochs, reason) = "stopped", stopped
    return {
        "run": run,
        "cell": cell,
        "rule": plan.cells[cell]["rule"]["name"],
        "trial": number,
        "state": state,
        "reason": reason,
        "error": chance_error(facts["classes"]) if state == "diverged" else None,
        "epochs": epochs,
        **{setting.name: setting.value_in(facts.get("config", {})) for setting in plan.settings[cell]},
    }


def _costs(logs: Logs, runs: list[str], stopped: list[int | None]) -> pd.DataFrame:
    """Return the error of each run after its last epoch, or the epoch at which the search stopped it, and its costs.

    A run without a logged epoch has no error, and its costs are 0.
    """
    table, place = logs.epochs(runs)
    names = ["epoch", "val_error", "presentations", "mirror_presentations", "flops", "seconds"]
    epochs: pd.DataFrame = table.select(names).to_pandas().assign(place=place)
    last = pd.Series(stopped, dtype="float64").fillna(float("inf"))
    ends = epochs[epochs["epoch"] <= epochs["place"].map(last)].drop_duplicates("place", keep="last")
    ends = ends.set_index("place").reindex(range(len(runs)))
    shown = (ends["presentations"] + ends["mirror_presentations"]).fillna(0.0)
    costs = ends.assign(presentations=shown, flops=ends["flops"].fillna(0.0), seconds=ends["seconds"].fillna(0.0))
    for row, run in enumerate(runs):
        if (spent := logs.get(run).spent) and stopped[row] is None:  # the epoch in which it diverged was not logged
            costs.loc[row, COSTS] = [orjson.loads(spent)[name] for name in COSTS]
    return costs
