"""Sentences about the variance of the error by source."""

from collections.abc import Sequence

import pandas as pd

from analysis.stats.chance import Chance
from analysis.stats.variance import REST, TOTAL
from analysis.text.study import TOO_FEW_TO_TELL
from nowt.core.formatting import counted
from nowt.store.chance import AT_CHANCE, LEARNED, TOO_FEW_IMAGES, Verdict

LABELS = {  # of the sources in frames, as figures, tables and sentences name them
    "start of W": "initialization of W",
    "start of B": "initialization of B",
    "order of pictures": "data order",
    TOTAL: "total",
    REST: "interactions and rest",
}


def source_label(source: str) -> str:
    """Return how figures, tables and sentences name a source of variance."""
    return LABELS.get(source, source)


def variance_in_words(split: pd.DataFrame, chance: Chance) -> list[str]:
    """Return one sentence per family: its largest source of variance, what follows from it, and how many of its runs
    have not learned."""
    return [_family_in_words(group, chance) for _, group in split.groupby("family", sort=False)]


def _family_in_words(group: pd.DataFrame, chance: Chance) -> str:
    family = group["family"].iloc[0]
    parts = group[~group["source"].isin([TOTAL, REST])].sort_values("deviation", ascending=False)
    if parts.empty:
        return f"{family}: no source was varied alone in at least 3 finished runs."
    first, total = parts.iloc[0], group[group["source"] == TOTAL]
    source = f"{source_label(first['source'])}, with a standard deviation of {first['deviation']:.2f} points"
    together = f"; total {total['deviation'].iloc[0]:.2f}" if len(total) else ""
    interval = f"95 % interval {first['low']:.2f} to {first['high']:.2f}, {first['n']} seeds{together}"
    clear = len(parts) == 1 or first["low"] > parts["high"].iloc[1:].max()
    doubt = "" if clear else ", although its interval overlaps with others"
    exceeding = parts["cell"].ne("").any() and len(total) and REST not in set(group["source"])
    sums = "; the components exceed the total, so they are not additive" if exceeding else ""
    ended = [verdict for cell in {family, *group["cell"]} for verdict in chance.ended.get(cell, {}).values()]
    guessed = f"; {_unlearned_in_words(ended)}" if set(ended) - {LEARNED} else ""
    return f"{family}: the largest source of variance is the {source} ({interval}){doubt}{sums}{guessed}."


def _unlearned_in_words(verdicts: Sequence[Verdict]) -> str:
    runs = counted(len(verdicts), "run")
    words = {AT_CHANCE: f"of {runs} ended at chance", TOO_FEW_IMAGES: f"of {runs} {TOO_FEW_TO_TELL}"}
    return "; ".join(f"{n} {text}" for verdict, text in words.items() if (n := verdicts.count(verdict)))
