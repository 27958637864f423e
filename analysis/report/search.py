"""The report of a search: tuning curves, maps of the error, importances, the table and all trials."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures.best_settings import best_settings_chart
from analysis.figures.importance import importance_chart
from analysis.figures.landscape import landscape_chart
from analysis.figures.options import Options
from analysis.figures.pareto import pareto_chart
from analysis.figures.sensitivity import sensitivity_chart
from analysis.figures.tuning import tuning_chart
from analysis.frames.searches import SearchPlan
from analysis.frames.trials import Trials, read_trials, require_counted_trials
from analysis.report.audits import audit_notes
from analysis.report.content import Content, Figure, Report
from analysis.report.figures import switches_of
from analysis.report.versions import version_notes
from analysis.report.writer import write_report
from analysis.tables.confirmation import confirmation_tables
from analysis.tables.search import results_table, search_markdown, search_table
from analysis.tables.search_space import space_table
from analysis.tables.writers import make_folder, markdown_text, save_tabular, write_csv, write_text
from analysis.text.search import missing_trials, search_methods, search_notes
from nowt.core.errors import UserError

CHARTS: dict[str, tuple[str, Callable[[Trials], Any]]] = {
    "tuning": ("Tuning curves", tuning_chart),
    "sensitivity": ("Sensitivity to settings", sensitivity_chart),
    "landscape": ("Error over learning rate and weight decay", landscape_chart),
    "importance": ("Importance of settings", importance_chart),
    "best_settings": ("Settings of the best trials", best_settings_chart),
    "pareto": ("Error against compute", pareto_chart),
}


def search_report(store: Path, plan: SearchPlan, out: Path, options: Options) -> Report:
    """Write a search's figures, tables and pages into ``out``. Raises ValueError without a counted trial."""
    _require_no_options(options, plan.name)
    trials = read_trials(store, plan)
    require_counted_trials(trials)
    make_folder(out)
    table = search_table(trials)
    markdown = search_markdown(table, trials)
    text = f"{markdown}\n{confirmation_tables(store, trials)}{_notes(store, trials)}\n"
    figures = tuple(Figure(name, caption, chart(trials)) for name, (caption, chart) in CHARTS.items())
    rules = {cell: str(config["rule"]["name"]) for cell, config in trials.plan.cells.items()}
    content = Content(plan, options, figures, table, text, _missing(trials), switches_of(rules), rules)
    return write_report(store, out, content, _for_a_paper(trials, table, out))


def _require_no_options(options: Options, name: str) -> None:
    if options.args:
        raise UserError(
            f"{' '.join(options.args)} applies to reports of ablations, and {name} is a search: leave it out"
        )


def _for_a_paper(trials: Trials, table: pd.DataFrame, out: Path) -> tuple[Path, ...]:
    """Write all trials, the table, the search space and the methods paragraph; return the paths."""
    every, methods = out / "trials.csv", out / "methods.md"
    write_csv(every, trials.frame)
    write_text(methods, markdown_text(search_methods(trials)) + "\n")
    found = results_table(table, trials.plan)
    return *save_tabular(found, out), every, methods, *save_tabular(space_table(trials.plan), out)


def _notes(store: Path, trials: Trials) -> str:
    keys = [key for key, _, _ in trials.plan.runs]
    found = [search_notes(trials), *version_notes(store, keys), *audit_notes(store, keys)]
    return markdown_text(" ".join(found))


def _missing(trials: Trials) -> str:
    missing = missing_trials(trials)
    return "Trials not included:\n\n" + "\n".join(f"- {markdown_text(line)}" for line in missing) if missing else ""
