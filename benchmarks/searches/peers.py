"""The searches that nowt's is compared with, each with its own defaults. They train one trial at a time."""

import logging
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import optuna

from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Choice, Param, Range, Value
from searches.meter import Meter


def optuna_search(meter: Meter, seed: int) -> None:
    """Search with Optuna's TPE and Hyperband."""
    _optuna(meter, optuna.samplers.TPESampler(seed=seed), optuna.pruners.HyperbandPruner())


def random_search(meter: Meter, seed: int) -> None:
    """Search at random; every trial is complete."""
    _optuna(meter, optuna.samplers.RandomSampler(seed=seed), optuna.pruners.NopPruner())


def _optuna(meter: Meter, sampler: Any, pruner: Any) -> None:
    # Hyperband assigns trials to brackets by the study's name
    study = optuna.create_study(study_name="quality", sampler=sampler, pruner=pruner)
    while True:
        trial = study.ask()
        for epoch, error in meter.train(_chosen(meter.surrogate.cell, partial(_suggested, trial))):
            trial.report(error, epoch)
            if epoch < meter.surrogate.epochs and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, error)


def _suggested(trial: Any, param: Param) -> Any:
    """Return Optuna's value of a parameter."""
    if isinstance(param, Choice):
        return trial.suggest_categorical(param.name, param.labels)
    if param.integer:
        return trial.suggest_int(param.name, int(param.low), int(param.high), log=param.log)
    return trial.suggest_float(param.name, param.low, param.high, log=param.log)


def _chosen(cell: SearchCell, raw: Callable[[Param], Any]) -> dict[str, Value]:
    """Return the values of the active parameters; ``raw`` gives a range's value, and a choice's label."""
    values: dict[str, Value] = {}
    for param in cell.params:
        if cell.is_active(param, values):
            found = raw(param)
            values[param.name] = param.values[param.labels.index(found)] if isinstance(param, Choice) else found
    return values


def syne_tune_asha(meter: Meter, seed: int) -> None:
    """Search with Syne Tune's ASHA."""
    _syne_tune(meter, seed, "ASHA")


def syne_tune_bohb(meter: Meter, seed: int) -> None:
    """Search with Syne Tune's BOHB."""
    _syne_tune(meter, seed, "BOHB")


def _syne_tune(meter: Meter, seed: int, name: str) -> None:
    cell = meter.surrogate.cell
    baselines, status = import_module("syne_tune.optimizer.baselines"), import_module("syne_tune.backend.trial_status")
    domains = {param.name: _domain(param) for param in cell.params}
    limits = {"metric": "error", "time_attr": "epoch", "max_t": meter.surrogate.epochs}
    np.random.seed(seed)  # some of its parts draw from NumPy's global generator
    scheduler, number = getattr(baselines, name)(domains, **limits, random_seed=seed), 0
    while True:
        config = scheduler.suggest().config
        trial, number = status.Trial(number, config, datetime.now()), number + 1
        scheduler.on_trial_add(trial)
        _train(meter, scheduler, trial, config)


def _train(meter: Meter, scheduler: Any, trial: Any, config: Mapping[str, Any]) -> None:
    """Train a trial of Syne Tune until it ends or the scheduler stops it."""
    for epoch, error in meter.train(_chosen(meter.surrogate.cell, lambda param: config[param.name])):
        result = {"error": error, "epoch": epoch}
        if scheduler.on_trial_result(trial, result) == "STOP":
            scheduler.on_trial_remove(trial)  # as Syne Tune's Tuner does, after the last epoch as well
            return


def _domain(param: Param) -> Any:
    """Return Syne Tune's domain of a parameter. It has no conditions: every parameter is always drawn."""
    spaces = import_module("syne_tune.config_space")
    if isinstance(param, Choice):
        return spaces.choice(list(param.labels))
    if param.integer:
        return (spaces.lograndint if param.log else spaces.randint)(int(param.low), int(param.high))
    return (spaces.loguniform if param.log else spaces.uniform)(param.low, param.high)


def ax_search(meter: Meter, seed: int) -> None:
    """Search with Ax; every trial is complete."""
    cell = meter.surrogate.cell
    logging.getLogger("ax").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    client = import_module("ax.api.client").Client(random_seed=seed)
    names = {param.name: f"p{number}" for number, param in enumerate(cell.params)}
    client.configure_experiment(name="quality", parameters=[_ax_param(names[p.name], p) for p in cell.params])
    client.configure_optimization(objective="-error")
    while True:
        for index, config in client.get_next_trials(max_trials=1).items():
            *_, (_, error) = meter.train(_chosen(cell, lambda param: config[names[param.name]]))  # noqa: B023
            client.complete_trial(trial_index=index, raw_data={"error": error})


def _ax_param(name: str, param: Choice | Range) -> Any:
    """Return Ax's config of a parameter."""
    configs = import_module("ax.api.configs")
    if isinstance(param, Choice):
        kind, labels = type(param.labels[0]).__name__, list(param.labels)
        return configs.ChoiceParameterConfig(name=name, values=labels, parameter_type=kind, is_ordered=False)
    kind, scaling = "int" if param.integer else "float", "log" if param.log else "linear"
    bounds = param.extremes
    return configs.RangeParameterConfig(name=name, bounds=bounds, parameter_type=kind, scaling=scaling)
