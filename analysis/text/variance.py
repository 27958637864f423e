"""Sentences about the variance by source."""

import pandas as pd

from analysis.stats.variance import REST, WHOLE


def variance_in_words(split: pd.DataFrame) -> list[str]:
    """One sentence a family: its largest source, and what follows from it."""
    return [_family_in_words(group) for _, group in split.groupby("family", sort=False)]


def _family_in_words(group: pd.DataFrame) -> str:
    family = group["family"].iloc[0]
    parts = group[~group["source"].isin([WHOLE, REST])].sort_values("deviation", ascending=False)
    if parts.empty:
        return f"{family}: no source was varied alone in three finished runs."
    first, whole = parts.iloc[0], group[group["source"] == WHOLE]
    scatter = f"{first['source']} makes the error scatter most, by {first['deviation']:.2f} points"
    together = f"; all together {whole['deviation'].iloc[0]:.2f}" if len(whole) else ""
    interval = f"{first['low']:.2f} to {first['high']:.2f} on {first['n']} seeds{together}"
    clear = len(parts) == 1 or first["low"] > parts["high"].iloc[1:].max()
    doubt = "" if clear else ", though its interval meets that of others"
    exceeding = parts["cell"].ne("").any() and len(whole) and REST not in set(group["source"])
    sums = "; the sources exceed the whole, so they do not simply add up" if exceeding else ""
    return f"{family}: the {scatter} ({interval}){doubt}; seeds that held it fixed would show too little scatter{sums}."
