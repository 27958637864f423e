"""Sentences about a search: what its numbers are, what is missing, and its methods paragraph."""

from collections.abc import Iterator
from typing import Any

from analysis.frames.study import rows
from analysis.frames.trials import Trials
from analysis.stats.contrasts import flat_config
from analysis.stats.importance import FEWEST_TRIALS, cells_with_importance
from analysis.stats.trials import LEARNING_RATE, WEIGHT_DECAY, landscape_cells
from analysis.text.methods import Shared, copies_in_words, setup
from nowt.core.formatting import counted
from nowt.store.chance import AT_CHANCE, TOO_FEW_IMAGES
from nowt.store.records import FAILED_STATES

SHOWN = 5  # names in a sentence

UNLEARNED = {
    AT_CHANCE: "Trials that finished at chance",
    TOO_FEW_IMAGES: "Finished trials with too few validation images to tell from chance",
}

SAMPLERS = {"tpe": "TPE", "quasi_random": "Quasi-random", "random": "Random", "grid": "Grid"}


def search_notes(trials: Trials) -> str:
    """Return sentences stating how trials were sampled and stopped, what errors, percentages and bands are, and what is
    missing."""
    sentences = [
        search_in_words(trials),
        "Errors are validation errors after a trial's last epoch, not its best one. They were used to choose the"
        " settings, so a claim about a rule requires new seeds and the test images.",
        _chance_in_words(trials),
        "The columns “within” give the percentage of finished and diverged trials, the best one included, whose error"
        " is at most this many points above the best.",
        *_unlearned_in_words(trials),
        _stopped_in_words(trials),
        _band_in_words(trials),
        _map_in_words(trials),
        _importance_in_words(trials),
        _missing_in_words(trials),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def missing_trials(trials: Trials) -> list[str]:
    """Return one line per trial that is not counted: which, its state, and the reason."""
    missing = trials.frame[trials.frame["state"].isin(["not started", "running", *FAILED_STATES, "unreadable"])]
    configured = {cell: config["epochs"] for cell, config in trials.plan.cells.items()}
    columns = ["cell", "trial", "run", "state", "reason", "epochs"]
    return [_missing(trial, configured[trial.cell]) for trial in rows(missing[columns])]


def search_in_words(trials: Trials) -> str:
    """Return a sentence stating the sampler, the early stopping and the budget."""
    sampler = SAMPLERS.get(trials.plan.sampler, trials.plan.sampler)
    stopping = "no early stopping" if trials.plan.stopping == "none" else f"early stopping by {trials.plan.stopping}"
    return f"{sampler} sampling, {stopping}, budget of {trials.plan.budget} per cell."


def search_methods(trials: Trials) -> str:
    """Return the methods paragraph: fixed settings, searched settings, and how they were searched."""
    plan = trials.plan
    searched = {cell: {setting.path for setting in settings} for cell, settings in plan.settings.items()}
    held = {
        cell: {name: value for name, value in flat_config(config).items() if name not in searched[cell]}
        for cell, config in plan.cells.items()
    }
    names = ", ".join(dict.fromkeys(setting.path for settings in plan.settings.values() for setting in settings))
    shared = "; settings that cells share were drawn once and used in all of them" if plan.independent else ""
    ended = f"{len(trials.counted)} of {counted(len(trials.frame), 'trial')} finished or diverged."
    drawn = f"Searched settings, with ranges as listed in the table of the search space: {names}{shared}."
    parts = [setup(Shared(held)), copies_in_words(trials.copies), drawn, search_in_words(trials), ended]
    return " ".join(part for part in parts if part)


def _chance_in_words(trials: Trials) -> str:
    diverged = int((trials.frame["state"] == "diverged").sum())
    return f"Diverged trials, counted with chance error (1 − 1/classes): {diverged}." if diverged else ""


def _unlearned_in_words(trials: Trials) -> Iterator[str]:
    for verdict, which in UNLEARNED.items():
        if found := [name for name, known in trials.unlearned.items() if known == verdict]:
            more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            yield f"{which}: {len(found)} ({'; '.join(found[:SHOWN])}{more})."


def _stopped_in_words(trials: Trials) -> str:
    stopped = int((trials.frame["state"] == "stopped").sum())
    return f"These percentages are optimistic, because they exclude trials stopped early: {stopped}." if stopped else ""


def _band_in_words(trials: Trials) -> str:
    if not trials.independent:
        reason = missing_band_reason(trials)
        return f"The tuning figure shows the best error so far without a confidence band, because {reason}."
    band = (
        "The bands of the tuning figure hold for all numbers of draws simultaneously, with 95 % confidence per cell;"
        " they are paler where the trials are too few to bound the best of that many draws from below."
    )
    even = " Quasi-random draws are more even than independent ones, so the bands are conservative."
    mean = (
        " Its axis counts each draw at the mean cost of its cell's trials. The bands treat the number of trials as"
        " fixed, although it depends on their cost."
    )
    notes = (even if trials.plan.sampler == "quasi_random" else "", mean if trials.plan.unit != "trials" else "")
    return band + "".join(notes)


def _map_in_words(trials: Trials) -> str:
    return (
        ""
        if landscape_cells(trials)
        else f"No map of the error: no cell with a finished trial varied both {LEARNING_RATE} and {WEIGHT_DECAY}."
    )


def _importance_in_words(trials: Trials) -> str:
    left_out = [cell for cell in trials.plan.cells if cell not in cells_with_importance(trials)]
    if not left_out:
        return ""
    need = f"at least {FEWEST_TRIALS} finished or diverged trials with different errors are required"
    return f"No importances for {', '.join(left_out)}: {need}."


def _missing_in_words(trials: Trials) -> str:
    missing = len(missing_trials(trials))
    return f"Failed or unfinished trials, not counted: {missing}." if missing else ""


def _missing(trial: Any, configured: int) -> str:
    cause = trial.reason.strip().splitlines()[-1:]  # the last line of a traceback is the error
    state = ": ".join([trial.state, *cause]) if trial.state in (*FAILED_STATES, "unreadable") else trial.state
    reached = f"epoch {trial.epochs} of {configured}" if trial.epochs else "no epoch yet"
    return f"{trial.cell}, trial {trial.trial} ({trial.run}): {state}; {reached}"


def missing_band_reason(trials: Trials) -> str:
    """Return a clause stating why the trials are not independent draws that all ran to their end."""
    if trials.plan.sampler == "tpe":
        return "TPE proposals depend on earlier trials"
    return "grid points are not random draws" if trials.plan.sampler == "grid" else "trials were stopped early"
