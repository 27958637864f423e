"""What a search's numbers are, in words, and what could not be drawn."""

from typing import Any

from analysis.frames.study import rows
from analysis.frames.trials import Trials
from analysis.stats.contrasts import flat
from analysis.stats.importance import FEWEST_TRIALS, rated_cells
from analysis.stats.trials import DECAY, RATE, mapped_cells
from analysis.text.methods import Shared, surrounding

SAMPLERS = {"tpe": "TPE", "quasi_random": "Quasi-random", "random": "Random", "grid": "Grid"}


def search_notes(trials: Trials) -> str:
    """How trials were proposed and stopped, what the errors, shares and bands are, what is missing."""
    sentences = [
        search_in_words(trials),
        "Errors are on the validation pictures after a trial's last epoch, never its best one; they chose the"
        " settings, so a claim about a rule takes new seeds and the test pictures.",
        _chance_in_words(trials),
        "Within so many points of the best: shares of the finished and diverged trials, the best among them.",
        _stopped_in_words(trials),
        _band_in_words(trials),
        _map_in_words(trials),
        _importance_in_words(trials),
        _missing_in_words(trials),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def missing_trials(trials: Trials) -> list[str]:
    """One line for each trial without an end of its own: which, in what state, why."""
    missing = trials.frame[trials.frame["state"].isin(["not started", "running", "failed", "unreadable"])]
    asked = {cell: config["epochs"] for cell, config in trials.plan.cells.items()}
    columns = ["cell", "trial", "run", "state", "reason", "epochs"]
    return [_missing(trial, asked[trial.cell]) for trial in rows(missing[columns])]


def search_in_words(trials: Trials) -> str:
    """Who proposed, what stopped trials early, and the budget."""
    sampler = SAMPLERS.get(trials.plan.sampler, trials.plan.sampler)
    stopping = "no early stopping" if trials.plan.stopping == "none" else f"early stopping: {trials.plan.stopping}"
    return f"{sampler} proposals, {stopping}, a budget of {trials.plan.budget} for each cell."


def search_methods(trials: Trials) -> str:
    """One paragraph: what was held, what was searched, and how."""
    plan = trials.plan
    searched = {cell: {setting.path for setting in settings} for cell, settings in plan.settings.items()}
    held = {
        cell: {name: value for name, value in flat(config).items() if name not in searched[cell]}
        for cell, config in plan.cells.items()
    }
    names = ", ".join(dict.fromkeys(setting.path for settings in plan.settings.values() for setting in settings))
    shared = "; what cells have in common was drawn once and used by all" if plan.independent else ""
    counted = f"{len(trials.counted)} of {len(trials.frame)} trials ran to an end of their own."
    drawn = f"Searched, from the ranges of the table of the space: {names}{shared}."
    return " ".join([surrounding(Shared(held)), drawn, search_in_words(trials), counted])


def _chance_in_words(trials: Trials) -> str:
    diverged = int((trials.frame["state"] == "diverged").sum())
    return f"Diverged, and counted at chance (1 − 1/classes): {diverged}." if diverged else ""


def _stopped_in_words(trials: Trials) -> str:
    stopped = int((trials.frame["state"] == "stopped").sum())
    return f"Stopped early, and not among them, which flatters the shares: {stopped}." if stopped else ""


def _band_in_words(trials: Trials) -> str:
    if not trials.independent:
        return f"The tuning figure shows the best so far without a band, since {why_no_band(trials)}."
    band = (
        "The tuning figure's bands hold for all numbers of draws at once, with 95 % confidence for each cell; where"
        " they are paler, the trials are too few to bound the best of so many draws from below."
    )
    even = " Quasi-random draws are more even than independent ones, so the bands are wider than they need be."
    mean = (
        " Its axis counts each draw at the mean cost of its cell's trials; how many there are follows from what they"
        " cost, which the bands take as given."
    )
    notes = (even if trials.plan.sampler == "quasi_random" else "", mean if trials.plan.unit != "trials" else "")
    return band + "".join(notes)


def _map_in_words(trials: Trials) -> str:
    return "" if mapped_cells(trials) else f"No map: no cell with a finished trial varied both {RATE} and {DECAY}."


def _importance_in_words(trials: Trials) -> str:
    left_out = [cell for cell in trials.plan.cells if cell not in rated_cells(trials)]
    if not left_out:
        return ""
    need = f"they take {FEWEST_TRIALS} finished or diverged trials of different errors"
    return f"No importances for {', '.join(left_out)}: {need}."


def _missing_in_words(trials: Trials) -> str:
    missing = len(missing_trials(trials))
    return f"Failed or not finished, and not counted: {missing}." if missing else ""


def _missing(trial: Any, asked: int) -> str:
    cause = trial.reason.strip().splitlines()[-1:]  # of a traceback, the line that says what went wrong
    state = ": ".join([trial.state, *cause]) if trial.state in ("failed", "unreadable") else trial.state
    reached = f"epoch {trial.epochs} of {asked}" if trial.epochs else "no epoch yet"
    return f"{trial.cell}, trial {trial.trial} ({trial.run}): {state}; {reached}"


def why_no_band(trials: Trials) -> str:
    """Return why the trials are not independent draws that all ran to their end."""
    if trials.plan.sampler == "tpe":
        return "TPE proposes by what earlier trials reached"
    return "a grid is not drawn" if trials.plan.sampler == "grid" else "trials were stopped early"
