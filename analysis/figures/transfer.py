"""Transfer of settings: error with settings from a search against error with the target's own recipe.

``nowt transfer`` runs, for each cell of a search, its best settings unchanged (``kp trial 12``) and the target's own
recipe (``kp recipe``).
"""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import study_figure
from analysis.figures.style.axes import ErrorAxis
from analysis.figures.style.legend import cell_color, dot_legend
from analysis.figures.style.theme import WIDTH, cell_styles, title
from analysis.frames.study import Frames
from analysis.stats.chance import outcome_counts
from analysis.stats.seeds import scored_split
from analysis.stats.transfer import transferred_errors
from analysis.text.study import SPLITS, interval_in_words, seeds_in_words

SHAPES = {"best": "circle", "second": "square", "third": "triangle-up", "further": "cross"}

SIZES = {"best": 190, "second": 60, "third": 16, "further": 12}  # nested, so that equal errors remain visible


def transfer_chart(frames: Frames) -> Any | None:
    """Draw errors with transferred settings against errors with the target's recipe.

    Marks are hollow and differ in size by rank, so that equal errors do not hide each other.

    Args:
        frames: The study's frames.

    Returns:
        An Altair chart; None for a study that ``nowt transfer`` did not create.

    Example:
        >>> transfer_chart(frames).save("transfer.html")  # doctest: +SKIP
    """
    found = transferred_errors(frames)
    if found.empty:
        return None
    name = SPLITS[scored_split(frames)]
    both = pd.concat([found["mean"], found["own"]])
    low, high = found[["low", "own_low"]].min(axis=1), found[["high", "own_high"]].max(axis=1)
    axis = ErrorAxis.for_errors(both, found.assign(low=low, high=high), zero=False)
    sources = dict(zip(found["source"], found["rule"], strict=True))
    styles = cell_styles(sources)
    color = cell_color(styles, dot_legend({cell: cell for cell in styles}), "source")
    across_text, up_text = f"{name.capitalize()} error with the target's recipe", "With transferred settings"
    x, low_x = (axis.encode(alt.X, of, across_text) for of in ("own", "low"))
    y, low_y = (axis.encode(alt.Y, of, up_text) for of in ("mean", "low"))
    ends = pd.DataFrame({"own": [axis.low, axis.high], "mean": [axis.low, axis.high]})
    equal = alt.Chart(ends).mark_line(color="#888888", strokeWidth=1, strokeDash=[4, 3]).encode(x=x, y=y)
    wide = axis.clip(found.assign(low=found["own_low"], high=found["own_high"]))
    up = alt.Chart(axis.clip(found)).mark_rule(opacity=0.5).encode(x=x, y=low_y, y2="high:Q")
    across = alt.Chart(wide).mark_rule(opacity=0.5).encode(x=low_x, x2="high:Q", y=y)
    used = [rank for rank in SHAPES if rank in set(found["rank"])]
    look = alt.Scale(domain=used, range=[SHAPES[rank] for rank in used])
    shape = alt.Shape("rank:N", title="rank there", scale=look, legend=None)
    dots = alt.Chart(found.assign(area=found["rank"].map(SIZES))).mark_point(strokeWidth=1.6, opacity=1)
    dots = dots.encode(x=x, y=y, color=color, shape=shape, size=alt.Size("area:Q", scale=None))
    marks = alt.layer(equal, up.encode(color=color), across.encode(color=color), dots)
    return marks.properties(
        width=WIDTH, height=WIDTH * 0.8, title=title("Transfer of settings", _caption(frames, found))
    )


def _caption(frames: Frames, found: pd.DataFrame) -> list[str]:
    counts = outcome_counts(frames)
    return [
        f"one mark per setting, mean over {seeds_in_words(found['n'])}",
        "circle, square, triangle: rank 1, 2, 3 in the search",
        interval_in_words(found["n"], "bars"),
        "above the dashed line: worse than the target's recipe",
        *["diverged runs count with chance error"] * bool(counts["diverged"].any()),
        *["some runs ended at chance"] * bool(counts["at_chance"].any()),
        *["some runs have too few images to tell from chance"] * bool(counts["too_few_images"].any()),
    ]


SCRIPT = study_figure("transfer", transfer_chart, "a study created by `nowt transfer`")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
