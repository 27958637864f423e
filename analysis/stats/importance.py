"""The importance of each setting of a search, by fANOVA.

Hutter, Hoos and Leyton-Brown (2014), "An efficient approach for assessing hyperparameter importance", as implemented in
Optuna. A setting's importance is the fraction of the variance of the error over the search space that it explains by
itself, averaged over the other settings. The remainder to 100 % is explained by interactions. A random forest
interpolates the error between trials, so estimates from few trials are rough. Diverged trials count with chance error.
"""

import math
from typing import Any

import pandas as pd

from analysis.frames.schema import enforce_schema
from analysis.frames.searches import Setting, setting_text
from analysis.frames.trials import Trials

FEWEST_TRIALS = 10

SEED = 0  # of the random forest

IMPORTANCE = {
    "cell": "str",
    "setting": "str",
    "importance": "float64",  # fraction of the variance, 0 to 1
    "n": "int64",  # number of trials used
}


def cells_with_importance(trials: Trials) -> list[str]:
    """Return the cells with at least FEWEST_TRIALS counted trials that do not all have the same error."""
    errors = trials.counted.groupby("cell")["error"].agg(["count", "nunique"])
    enough = errors[(errors["count"] >= FEWEST_TRIALS) & (errors["nunique"] > 1)]
    return [cell for cell in trials.plan.cells if cell in enough.index]


def importances(trials: Trials) -> pd.DataFrame:
    """Estimate the importance of each setting.

    Args:
        trials: The trials of a search.

    Returns:
        One row per cell of ``cells_with_importance`` and setting that all its counted trials have, largest first within
        a cell; columns ``IMPORTANCE``.

    Reference:
        Hutter, Hoos and Leyton-Brown (2014), "An efficient approach for assessing hyperparameter importance".

    Example:
        >>> importances(trials).groupby("setting")["importance"].max()  # doctest: +SKIP
    """
    parts = [pd.DataFrame([], columns=list(IMPORTANCE))]
    for cell in cells_with_importance(trials):
        counted = trials.counted[trials.counted["cell"] == cell]
        shares = pd.Series(_shares(counted, trials.plan.settings[cell]), name="importance").sort_values(ascending=False)
        parts.append(shares.rename_axis("setting").reset_index().assign(cell=cell, n=len(counted)))
    return enforce_schema(pd.concat(parts, ignore_index=True), IMPORTANCE)


def _shares(counted: pd.DataFrame, varied: tuple[Setting, ...]) -> dict[str, float]:
    """Return each setting's fraction of the variance, by name."""
    import optuna
    from optuna.importance import FanovaImportanceEvaluator

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # otherwise Optuna logs that it creates a study
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
        return CategoricalDistribution([float(v) if setting.numeric else setting_text(v) for v in setting.values])
    return FloatDistribution(*_ends(setting))


def _place(setting: Setting, value: Any) -> Any:
    """Return a value on the scale of its distribution, clipped because rounding may move it outside."""
    if setting.values:
        return value
    low, high = _ends(setting)
    return min(max(_scaled(setting, value), low), high)


def _ends(setting: Setting) -> tuple[float, float]:
    return _scaled(setting, setting.low), _scaled(setting, setting.high)


def _scaled(setting: Setting, value: float) -> float:
    # Optuna's fANOVA weights a range uniformly even if it was sampled on a log scale.
    return math.log10(value) if setting.log else value
