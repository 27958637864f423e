"""The report of one study or search: figures, a table, and a page that says what they show."""

from pathlib import Path

import pandas as pd

from analysis.figures.options import Options
from analysis.figures.probes import probe_figures
from analysis.frames.searches import SearchPlan
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.study import Frames, read_frames, require_counted_runs
from analysis.report.content import Content, Figure, Report
from analysis.report.figures import figures_of, study_switches
from analysis.report.findings import findings
from analysis.report.search import search_report
from analysis.report.writer import write_report
from analysis.stats.seeds import scored_split
from analysis.tables.final import final_table, save_table, to_markdown
from analysis.tables.writers import make_folder
from analysis.text.notes import notes
from analysis.text.study import SPLITS, unfinished_in_words


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


def _markdown(frames: Frames, table: pd.DataFrame) -> str:
    return to_markdown(table, frames.study.reference, SPLITS[scored_split(frames)])


def _unfinished(frames: Frames) -> str:
    unfinished = unfinished_in_words(frames.runs)
    return "Runs that do not count:\n\n" + "\n".join(f"- {line}" for line in unfinished) if unfinished else ""
