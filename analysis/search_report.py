"""The report of one search: error against tuning, the map of η and λ, what matters, the table and the trials."""

from collections.abc import Sequence
from pathlib import Path

from analysis.importance import importance_chart
from analysis.landscape import landscape_chart
from analysis.pages import Report, make_folder, save_figure
from analysis.pareto import pareto_chart
from analysis.search_table import search_markdown, search_table
from analysis.search_words import missing_trials, search_notes, states_in_words
from analysis.searches import SearchPlan
from analysis.table import save_table
from analysis.trials import Trials, read_trials
from analysis.tuning_figure import tuning_chart

CHARTS = {
    "tuning": tuning_chart,
    "landscape": landscape_chart,
    "importance": importance_chart,
    "pareto": pareto_chart,
}
CAPTIONS = {
    "tuning.png": "Error against tuning",
    "landscape.png": "Error over learning rate and weight decay",
    "importance.png": "Which settings matter",
    "pareto.png": "Error against compute",
}


def search_report(store: Path, plan: SearchPlan, out: Path) -> Report:
    """Write a search's figures, tables and ``report.md`` into ``out``. Raises ValueError without a finished trial."""
    trials = read_trials(store, plan)
    _require_counted(trials)
    make_folder(out)
    table = search_table(trials)
    markdown = search_markdown(table)
    text = f"{markdown}\n{search_notes(trials)}\n"
    figures = [path for name, chart in CHARTS.items() for path in save_figure(chart(trials), out / name)]
    tables = *save_table(table, markdown, out), _save_trials(trials, out)
    page = out / "report.md"
    page.write_text(_page(trials, text, figures), encoding="utf-8")
    return Report(plan.key, (page, *figures, *tables), table, text)


def _require_counted(trials: Trials) -> None:
    if trials.counted.empty:
        found = states_in_words(trials) or "no trial"
        again = f"`nowt search {trials.plan.name}` goes on with it"
        raise ValueError(f"search {trials.plan.key} has no finished trial yet ({found}): {again}")


def _save_trials(trials: Trials, out: Path) -> Path:
    path = out / "trials.csv"
    trials.frame.to_csv(path, index=False)
    return path


def _page(trials: Trials, text: str, figures: Sequence[Path]) -> str:
    pictures = [f"![{CAPTIONS[path.name]}]({path.name})" for path in figures if path.suffix == ".png"]
    missing = missing_trials(trials)
    parts = [
        f"# {trials.plan.name}",
        trials.plan.question,
        pictures[0],
        text.rstrip(),
        *pictures[1:],
        "Trials that do not count:\n\n" + "\n".join(f"- {line}" for line in missing) if missing else "",
        f"Rebuilt from the epoch logs by `nowt report {trials.plan.key}`.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
