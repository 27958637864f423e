"""The report of one study or search: figures, a table, and a page that says what they show."""

from pathlib import Path

import pandas as pd

from analysis.figures.options import Options
from analysis.figures.probes import probe_figures
from analysis.frames.checks import require_counted_runs
from analysis.frames.searches import SearchPlan
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.study import Frames, counted_runs, read_frames
from analysis.report.content import Content, Figure, Report
from analysis.report.figures import figures_of, study_switches
from analysis.report.findings import findings
from analysis.report.search import search_report
from analysis.report.writer import write_report
from analysis.stats.seeds import diverged_counts, scored_split
from analysis.tables.final import final_table, save_table, to_markdown
from analysis.tables.writers import make_folder
from analysis.text.oddities import oddities
from analysis.text.study import (
    SPLITS,
    chance_in_words,
    interval_in_words,
    permutation_in_words,
    seeds_in_words,
    unfinished_in_words,
)


def report(
    store: Path,
    study: str | None,
    out: Path,
    margin: float | None = None,
    against: str = "epochs",
    published: bool = False,
) -> Report:
    """Write figures, tables, ``report.md``, ``report.html`` and ``manifest.json`` into folder ``out``.

    ``study`` is the name or key of a study or a search; None means the newest. ``margin``, in points of error, is what
    counts as equal in a study, ``against`` what its curves are drawn over, and ``published`` sets the published ones
    beside them. Raises ValueError, in one sentence, for an unknown study, an empty store, a study without a finished
    run, and options that cannot be or do not go together.
    """
    options = Options(against, published, margin)
    plan = find_study(store, study)
    if isinstance(plan, SearchPlan):
        return search_report(store, plan, out, options)
    return study_report(store, plan, out, options)


def study_report(store: Path, plan: StudyPlan, out: Path, options: Options) -> Report:
    """The report of an ablation's study."""
    frames = read_frames(store, plan)
    require_counted_runs(frames)
    make_folder(out)
    table = final_table(frames)
    markdown = _markdown(frames, table)
    found = findings(frames, table, out, options.margin)
    content = Content(
        plan=plan,
        options=options,
        figures=(*figures_of(frames, options), *found.figures, *(Figure(*one) for one in probe_figures(store, frames))),
        table=table,
        text=f"{markdown}\n{notes(frames, table)}\n",
        found=found.text,
        more=found.page,
        missing=_unfinished(frames),
        switches=study_switches(frames, options),
    )
    return write_report(store, out, content, (*save_table(table, markdown, out), *found.paths))


def notes(frames: Frames, table: pd.DataFrame) -> str:
    """How many seeds, what the intervals are, which pictures and epoch, what diverged, what is missing."""
    n = diverged_counts(frames.runs)["n"]
    split = SPLITS[scored_split(frames)]
    pairs = int(table["gap_n"].max())
    reference = frames.study.reference
    gaps = f"gaps are to {reference} with the same seed"
    gaps = gaps if pairs else f"no gaps, since {reference} has no finished run"
    sentences = [
        f"Means over {seeds_in_words(n)}; {interval_in_words(n, 'intervals')}; {gaps}.",
        f"Errors are on the {split} pictures after the last epoch, never the best one.",
        chance_in_words(frames.runs),
        _outside_in_words(table),
        _angles_in_words(table),
        permutation_in_words(pairs) if pairs else "",
        _missing_in_words(frames),
        _replaced_in_words(frames.study.replaced),
        *oddities(frames),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _markdown(frames: Frames, table: pd.DataFrame) -> str:
    return to_markdown(table, frames.study.reference, SPLITS[scored_split(frames)])


def _outside_in_words(table: pd.DataFrame) -> str:
    outside = table[(table["error_low_percent"] < 0) | (table["error_high_percent"] > 100)]
    names = ", ".join(outside["cell"])
    return f"The interval of {names} passes 0 or 100 %: its runs differ too much for a t interval." if names else ""


def _angles_in_words(table: pd.DataFrame) -> str:
    if table["matrix_angle_degrees"].isna().all():
        return "No finished run measured an angle between feedback and forward weights."
    return "Matrix angles are at the last probe: median over layers, mean over finished runs."


def _missing_in_words(frames: Frames) -> str:
    planned, missing = len(frames.runs), len(frames.runs) - len(counted_runs(frames.runs))
    return f"{missing} of {planned} runs are not finished and do not count." if missing else ""


def _replaced_in_words(replaced: int) -> str:
    return f"{replaced} earlier runs with other data or code are left out." if replaced else ""


def _unfinished(frames: Frames) -> str:
    unfinished = unfinished_in_words(frames.runs)
    return "Runs that do not count:\n\n" + "\n".join(f"- {line}" for line in unfinished) if unfinished else ""
