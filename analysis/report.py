"""The report of one study or search: figures, a table, and a page that says what they show."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from analysis.alignment import alignment_chart
from analysis.curves import curves_chart
from analysis.findings import findings
from analysis.frames import Frames, read_frames
from analysis.pages import Report, make_folder, save_figure
from analysis.probes import probe_figures
from analysis.search_report import search_report
from analysis.seeds import counted_runs, diverged_counts, scored_split
from analysis.studies import StudyPlan, find_study
from analysis.table import final_table, save_table, to_markdown
from analysis.words import (
    SPLITS,
    chance_in_words,
    interval_in_words,
    permutation_in_words,
    seeds_in_words,
    unfinished_in_words,
)


def report(store: Path, study: str | None, out: Path, margin: float | None = None) -> Report:
    """Write figures, tables and ``report.md`` of a study or a search into folder ``out``.

    ``study`` is its name or key; None means the newest. ``margin``, in points of error, is what counts as equal in a
    study. Raises ValueError, in one sentence, for an unknown study, an empty store, a study without a finished run, and
    a margin that cannot be.
    """
    if margin is not None and not 0 < margin <= 100:  # which nan is not
        raise ValueError(f"--margin is {margin}: it must lie above 0 and at 100 points of error at most")
    plan = find_study(store, study)
    if isinstance(plan, StudyPlan):
        return study_report(store, plan, out, margin)
    if margin is not None:
        raise ValueError(f"--margin is for the report of an ablation, and {plan.name} is a search: leave it out")
    return search_report(store, plan, out)


def study_report(store: Path, plan: StudyPlan, out: Path, margin: float | None = None) -> Report:
    """The report of an ablation's study."""
    frames = read_frames(store, plan)
    _require_counted(frames)
    make_folder(out)
    table = final_table(frames)
    found = findings(frames, table, out, margin)
    text = f"{_markdown(frames, table)}\n{notes(frames, table)}\n"
    curves = save_figure(curves_chart(frames), out / "curves")
    figures = *curves, *save_figure(alignment_chart(frames), out / "alignment")
    probes = {name: (caption, save_figure(chart, out / name)) for name, caption, chart in probe_figures(store, frames)}
    figures += tuple(path for _, paths in probes.values() for path in paths)
    captions = {f"{name}.png": caption for name, (caption, _) in probes.items()}
    tables = save_table(table, _markdown(frames, table), out)
    page = out / "report.md"
    page.write_text(_page(frames, text, figures, found.page, margin, captions), encoding="utf-8")
    return Report(frames.study.key, (page, *figures, *tables, *found.paths), table, f"{text}\n{found.text}\n")


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
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _require_counted(frames: Frames) -> None:
    if counted_runs(frames.runs).empty:
        states = frames.runs["state"].value_counts().items()
        found = ", ".join(f"{count} {state}" for state, count in states)
        again = f"`nowt ablate {frames.study.name}` goes on with them"
        raise ValueError(f"study {frames.study.key} has no finished run yet ({found}): {again}")


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


def _page(
    frames: Frames, text: str, figures: Sequence[Path], more: str, margin: float | None, probes: Mapping[str, str]
) -> str:
    pictures = [path.name for path in figures if path.suffix == ".png"]
    captions = {"curves.png": "Error by epoch", "alignment.png": "Angles by layer and epoch", **probes}
    unfinished = unfinished_in_words(frames.runs)
    parts = [
        f"# {frames.study.name}",
        frames.study.question,
        f"![{captions[pictures[0]]}]({pictures[0]})",
        text.rstrip(),
        *[f"![{captions[name]}]({name})" for name in pictures[1:]],
        more,
        "Runs that do not count:\n\n" + "\n".join(f"- {line}" for line in unfinished) if unfinished else "",
        f"Rebuilt from the epoch logs by `nowt report {frames.study.key}{f' --margin {margin:g}' if margin else ''}`.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
