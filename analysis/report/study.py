"""The report of a study or search: figures, tables, and a page that describes them."""

from pathlib import Path

import pandas as pd

from analysis.figures.options import Options
from analysis.figures.probes import probe_figures
from analysis.frames.searches import SearchPlan
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.study import Frames, read_frames, require_counted_runs
from analysis.report.audits import audit_notes
from analysis.report.content import Content, Figure, Report
from analysis.report.figures import figures_of, study_switches
from analysis.report.findings import study_findings
from analysis.report.search import search_report
from analysis.report.versions import version_notes
from analysis.report.writer import write_report
from analysis.stats.chance import Chance
from analysis.stats.claim import claim_test
from analysis.stats.seeds import scored_split
from analysis.tables.claim import claim_markdown
from analysis.tables.final import final_table, save_table, to_markdown
from analysis.tables.writers import make_folder, markdown_text
from analysis.text.notes import notes
from analysis.text.picks import lacking_picks_in_words
from analysis.text.study import SPLITS, unfinished_in_words


def report(
    store: Path,
    study: str | None,
    out: Path,
    margin: float | None = None,
    against: str = "epochs",
    published: bool = False,
) -> Report:
    """Write figures, tables, ``report.md``, ``report.html`` and ``manifest.json``.

    Args:
        store: Folder of the store.
        study: Name or key of a study or search; None selects the newest one.
        out: Output folder, created if necessary. Files of an earlier report in it are replaced.
        margin: Equivalence margin in percentage points of error; None (default) tests no equivalence. Ablations only.
        against: x axis of the curves: ``epochs`` (default), ``presentations``, ``flops`` or ``seconds``. Ablations
            only.
        published: Whether to add the published ImageNet curves (default: False). Ablations only.

    Returns:
        The paths of all files, the main table and its text; printing it shows the table.

    Raises:
        ValueError: The study is unknown, the store is empty, no run has finished, or an option is invalid.

    Example:
        >>> print(report(Path("runs"), "rules_on_digits", Path("figures"), margin=1.0))  # doctest: +SKIP
    """
    options = Options(against, published, margin)
    plan = find_study(store, study)
    if isinstance(plan, SearchPlan):
        return search_report(store, plan, out, options)
    return study_report(store, plan, out, options)


def study_report(store: Path, plan: StudyPlan, out: Path, options: Options) -> Report:
    """Write the report of an ablation."""
    frames = read_frames(store, plan)
    require_counted_runs(frames)
    make_folder(out)
    table = final_table(frames)
    markdown = _markdown(frames, table)
    claim = claim_test(frames)
    claimed = "" if claim is None else f"{claim_markdown(claim, options.margin)}\n"
    claimed += "".join(f"**{markdown_text(line)}**\n\n" for line in lacking_picks_in_words(store, plan))
    findings = study_findings(frames, table, out, options.margin, claim)
    content = Content(
        plan=plan,
        options=options,
        figures=(
            *figures_of(frames, options),
            *findings.figures,
            *(Figure(*one) for one in probe_figures(store, frames)),
        ),
        table=table,
        text=f"{claimed}{markdown}\n{_notes(store, frames, table)}\n",
        findings=findings.text,
        sections=findings.page,
        missing=_unfinished(frames),
        switches=study_switches(frames, options),
        rules={cell: str(config["rule"]["name"]) for cell, config in frames.study.cells.items()},
    )
    return write_report(store, out, content, (*save_table(table, markdown, out), *findings.paths))


def _notes(store: Path, frames: Frames, table: pd.DataFrame) -> str:
    keys = [key for key, _, _ in frames.study.runs]
    found = [notes(frames, table), *version_notes(store, keys), *audit_notes(store, keys)]
    return markdown_text(" ".join(found))


def _markdown(frames: Frames, table: pd.DataFrame) -> str:
    return to_markdown(table, frames.study.reference, SPLITS[scored_split(frames)], Chance.of(frames))


def _unfinished(frames: Frames) -> str:
    unfinished = unfinished_in_words(frames.runs)
    return "Runs not included:\n\n" + "\n".join(f"- {markdown_text(line)}" for line in unfinished) if unfinished else ""
