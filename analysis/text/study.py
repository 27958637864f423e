"""Phrases about a study's seeds, intervals and runs, for figures and report."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.frames.study import rows, unfinished_runs
from analysis.stats.permutation import smallest_p
from analysis.stats.seeds import FEWEST_SEEDS
from nowt.core.formatting import counted
from nowt.store.chance import AT_CHANCE, SPLIT_NAMES, TOO_FEW_IMAGES
from nowt.store.records import FAILED_STATES

SPLITS = SPLIT_NAMES

OUTPUT_ANGLE = "the output layer's δ angle is 0 by construction"  # its δ is the gradient of the loss under every rule

TOO_FEW_TO_TELL = "with too few images to tell from chance"

NEITHER: Mapping[str, str] = {AT_CHANCE: " (both at chance)", TOO_FEW_IMAGES: " (too few images to tell from chance)"}

FOR_A_CLAIM = 5  # seeds; fewer are illustrative


def legend_labels(counts: pd.DataFrame, cells: list[str]) -> dict[str, str]:
    """Return a label for each counted cell: its name, followed by ``failed_in_words`` in brackets if that is not empty.

    ``counts`` are those of ``analysis.stats.chance.outcome_counts``.
    """
    failed = {row.cell: failed_in_words(row) for row in rows(counts)}
    return {cell: f"{cell} ({failed[cell]})" if failed[cell] else cell for cell in cells if cell in failed}


def failed_in_words(row: Any) -> str:
    """Return ``k of n diverged, l of n at chance``; empty if all runs learned. ``row`` is one of
    ``analysis.stats.chance.outcome_counts``."""
    counts = {"diverged": row.diverged, "at chance": row.at_chance, TOO_FEW_TO_TELL: row.too_few_images}
    return ", ".join(f"{count} of {row.n} {what}" for what, count in counts.items() if count)


def neither_in_words(verdict: str) -> str:
    """Return what follows a gap between two cells of which neither has learned; empty for any other verdict."""
    return NEITHER.get(verdict, "")


def seeds_in_words(n: "pd.Series[int]") -> str:
    """Return ``3 seeds``, or ``2 to 3 seeds`` if cells have different numbers of runs."""
    fewest, most = int(n.min()), int(n.max())
    span = str(most) if fewest == most else f"{fewest} to {most}"
    return f"{span} seed{'s' if most > 1 else ''}"


def some_seeds(shared: int, *counts: int) -> str:
    """Return `` (1 of 3 seeds)`` for a gap over fewer seeds than the errors beside it; otherwise an empty string."""
    most = max(counts)
    return f" ({shared} of {most} seeds)" if 0 < shared < most else ""


def interval_in_words(n: "pd.Series[int]", marks: str) -> str:
    """Return a phrase stating what ``marks`` (bands or bars of a figure, intervals of a table) are, or why there are
    none."""
    if (n < FEWEST_SEEDS).all():
        return f"no interval: at least {FEWEST_SEEDS} seeds are required"
    some = f" (none for fewer than {FEWEST_SEEDS} seeds)" if (n < FEWEST_SEEDS).any() else ""
    return f"{marks}: 95 % t interval over seeds{some}"


def chance_in_words(runs: pd.DataFrame) -> str:
    """Return a sentence stating which runs diverged, when, and how they are counted; empty if none did."""
    diverged = rows(runs[runs["state"] == "diverged"])
    named = [f"{run.cell} with seed {run.seed} (epoch {run.diverged_epoch})" for run in diverged]
    if not named:
        return ""
    return f"Diverged runs count with chance error (1 − 1/classes) from the epoch of divergence: {', '.join(named)}."


def permutation_in_words(pairs: int) -> str:
    """Return a sentence stating the smallest p value that a sign-flip permutation test can reach, and what follows from
    it."""
    seeds = counted(pairs, "paired seed")
    p = f"With {seeds}, the smallest p value of a sign-flip permutation test is {smallest_p(pairs):.3g}"
    few = f"; the gaps describe these runs, and a claim requires at least {FOR_A_CLAIM} seeds"
    return f"{p}{few if pairs < FOR_A_CLAIM else ''}."


def unfinished_in_words(runs: pd.DataFrame) -> list[str]:
    """Return one line per run that is not included: which, its state, and its last epoch."""
    return [_unfinished(run) for run in rows(unfinished_runs(runs))]


def _unfinished(run: Any) -> str:
    who = f"{run.cell} with seed {run.seed} ({run.run})"
    if run.state == "not started":
        return f"{who}: not started"
    if run.state == "unreadable":
        return f"{who}: {run.reason}"
    reached = f"epoch {run.last_epoch} of {run.epochs}" if run.last_epoch >= 0 else "no epoch yet"
    cause = run.reason.strip().splitlines()[-1:]  # the last line of a traceback is the error
    state = ": ".join([run.state, *cause]) if run.state in FAILED_STATES else "unfinished"
    return f"{who}: {state}; {reached}"
