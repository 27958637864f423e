"""Which settings matter for which rule: fANOVA (Hutter, Hoos and Leyton-Brown 2014), as Optuna computes it.

A setting's importance is the share of the error's variance over the searched space that it explains by itself, others
averaged out; what is missing to 100 % they explain together. A forest of trees stands in for the error between the
trials, so few trials give rough numbers. Diverged trials count at chance.
"""

import math
import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.frames import checked
from analysis.script import search_figure
from analysis.searches import Setting, spoken
from analysis.theme import cell_styles, title
from analysis.trials import Trials

FEWEST_TRIALS = 10
NEEDS = f"a cell with {FEWEST_TRIALS} trials or more that ran to their end, not all of the same error"
SEED = 0  # of the forest
NAMES_WIDTH, BARS_WIDTH = 118, 228  # pixels; together as wide as a plot with its axis
NAMES = {"labelLimit": NAMES_WIDTH, "minExtent": NAMES_WIDTH, "labelPadding": 6, "ticks": False, "domain": False}
IMPORTANCE = {
    "cell": "str",
    "setting": "str",
    "importance": "float64",  # share of variance, 0 to 1
    "n": "int64",  # trials that it was computed from
}


def rated_cells(trials: Trials) -> list[str]:
    """The cells whose settings can be rated: ten counted trials or more, not all of the same error."""
    errors = trials.counted.groupby("cell")["error"].agg(["count", "nunique"])
    enough = errors[(errors["count"] >= FEWEST_TRIALS) & (errors["nunique"] > 1)]
    return [cell for cell in trials.plan.cells if cell in enough.index]


def importances(trials: Trials) -> pd.DataFrame:
    """One row a rated cell and setting that all its counted trials had, the largest first; columns IMPORTANCE."""
    parts = [pd.DataFrame([], columns=list(IMPORTANCE))]
    for cell in rated_cells(trials):
        counted = trials.counted[trials.counted["cell"] == cell]
        shares = pd.Series(_shares(counted, trials.plan.settings[cell]), name="importance").sort_values(ascending=False)
        parts.append(shares.rename_axis("setting").reset_index().assign(cell=cell, n=len(counted)))
    return checked(pd.concat(parts, ignore_index=True), IMPORTANCE)


def _shares(counted: pd.DataFrame, varied: tuple[Setting, ...]) -> dict[str, float]:
    """Each setting's share of variance, by name."""
    import optuna
    from optuna.importance import FanovaImportanceEvaluator

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # or it would say that it makes a study
    study = optuna.create_study(direction="minimize")
    always = [setting for setting in varied if counted[setting.name].notna().all()]
    distributions = {setting.name: _distribution(setting) for setting in always}
    columns = {setting.name: [_place(setting, value) for value in counted[setting.name]] for setting in always}
    study.add_trials(
        optuna.trial.create_trial(
            params={name: column[i] for name, column in columns.items()}, distributions=distributions, value=error
        )
        for i, error in enumerate(counted["error"])
    )
    shares: dict[str, float] = FanovaImportanceEvaluator(seed=SEED).evaluate(study)
    return shares


def _distribution(setting: Setting) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if setting.values:
        return CategoricalDistribution([float(v) if setting.numeric else spoken(v) for v in setting.values])
    return FloatDistribution(*_ends(setting))


def _place(setting: Setting, value: Any) -> Any:
    """Where a value lies in its distribution; a quotient's last digit may lie outside."""
    if setting.values:
        return value
    low, high = _ends(setting)
    return min(max(_scaled(setting, value), low), high)


def _ends(setting: Setting) -> tuple[float, float]:
    return _scaled(setting, setting.low), _scaled(setting, setting.high)


def _scaled(setting: Setting, value: float) -> float:
    # Optuna's fANOVA weighs a range evenly between its ends, also where it was drawn on a log scale.
    return math.log10(value) if setting.log else value


def importance_chart(trials: Trials) -> Any | None:
    """The figure as an Altair chart; None where no cell has an importance."""
    shares = importances(trials)
    if shares.empty:
        return None
    cells = list(dict.fromkeys(shares["cell"]))
    rules = dict(zip(trials.frame["cell"], trials.frame["rule"], strict=True))
    styles = cell_styles(rules)
    shares = shares.assign(percent=100 * shares["importance"])
    panels = [_panel(shares, cell, styles[cell].colour, last=cell == cells[-1]) for cell in cells]
    some = ["of trials that were not stopped early"] if (trials.frame["state"] == "stopped").any() else []
    parts = ["fANOVA: what a setting explains by itself", *some, "rough where trials are few"]
    heads = title("Which settings matter for the error", parts)
    heads.frame = "bounds"  # it starts where the names do
    return alt.vconcat(*panels, spacing=8, title=heads)


def _panel(shares: pd.DataFrame, cell: str, colour: str, last: bool) -> Any:
    """One cell's bars, on the axis of all."""
    here = shares[shares["cell"] == cell]
    scale = alt.Scale(domain=[0, float(shares["percent"].max())], nice=True)
    axis = alt.Axis(labels=last, tickCount=5, format="d")
    x = alt.X("percent:Q", title="Share of the error's variance (%)" if last else None, scale=scale, axis=axis)
    y = alt.Y("setting:N", title=None, sort=None, axis=alt.Axis(**NAMES))
    bars = alt.Chart(here).mark_bar(color=colour).encode(x=x, y=y)
    over = alt.TitleParams(f"{cell}, {here['n'].iloc[0]} trials", fontSize=11, fontWeight="normal", offset=4)
    return bars.properties(width=BARS_WIDTH, height=alt.Step(13), title=over)


if __name__ == "__main__":
    sys.exit(
        search_figure(
            "importance",
            importance_chart,
            NEEDS,
        )
    )
