"""How much each setting of a search matters."""

import math
from typing import Any

import pandas as pd

from analysis.frames.schema import checked
from analysis.frames.searches import Setting, spoken
from analysis.frames.trials import Trials

FEWEST_TRIALS = 10

SEED = 0  # of the forest

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
