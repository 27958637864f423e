"""The report of a search: its files, figures, sentences and errors."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.report.content import Report
from analysis.report.study import report
from tests.support.earlier_reports import write_earlier_report
from tests.support.synthetic_frames import svg_text
from tests.support.synthetic_search import SHARED, search_space, write_search


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of two rules with twelve draws each, of which one diverged and one failed."""
    store = tmp_path_factory.mktemp("store")
    write_search(store, states={("wm", 3): "diverged", ("wm", 5): "failed"})
    return report(store, "tuned", store / "figures")


DRAWN = ("tuning", "sensitivity", "landscape", "importance", "best_settings", "pareto")


def test_the_report_writes_figures_tables_trials_and_a_page(made: Report) -> None:
    figures = [f"{name}.{kind}" for name in DRAWN for kind in ("png", "svg")]
    tables = [f"{name}.{kind}" for name in ("table", "space") for kind in ("md", "csv", "tex")]
    tables[3:3], rest = ["trials.csv", "methods.md"], ["report.html", "manifest.json"]
    assert [path.name for path in made.paths] == ["report.md", *figures, *tables, *rest]
    assert all(path.stat().st_size > 100 for path in made.paths)
    page = made.paths[0].read_text()
    assert all(f"]({name})" in page for name in figures if name.endswith("png"))
    assert made.text.strip() in page
    assert re.search(r"- wm, trial 5 \(\w+\): failed: OSError: the disk is full; epoch 1 of 3\n", page)
    assert len(pd.read_csv(made.paths[0].with_name("trials.csv"))) == 24


def test_the_figures_name_axes_units_and_every_cell(made: Report) -> None:
    drawn = {path.stem: svg_text(path) for path in made.paths if path.suffix == ".svg"}
    tuning, landscape, importance = drawn["tuning"], drawn["landscape"], drawn["importance"]
    for words in ("Best validation error (%", "Trials (log scale)", "band: 95 %", "wm (1 of 11 diverged)"):
        assert words in tuning
    assert "Validation error (%" in landscape and "Weight decay λ" in landscape
    assert "Trials within this distance (%)" in drawn["sensitivity"]
    assert (
        "optim.lr, log scale" in drawn["best_settings"]
        and "rule.eta as a multiple of rule.decay" in drawn["best_settings"]
    )
    assert "bp, 12 trials" in importance and "Explained variance of the error (%)" in importance


def test_the_notes_explain_the_numbers(made: Report) -> None:
    for words in (
        "Quasi-random sampling, no early stopping, budget of 12 trials per cell.",
        "validation errors after a trial's last epoch, not its best one",
        "Diverged trials, counted with chance error (1 − 1/classes): 1.",
        "Quasi-random draws are more even than independent ones",
        "Failed or unfinished trials, not counted: 1.",
    ):
        assert words in made.text
    table = [line for line in made.text.splitlines() if line.startswith("|")]
    assert len(table) == 4 and len({line.count("|") for line in table}) == 1


def test_a_search_with_tpe_explains_why_there_is_no_band(tmp_path: Path) -> None:
    write_search(tmp_path, search_space(sampler="tpe", stopping="halving"), 3)
    write_earlier_report(tmp_path / "figures", "importance.png")
    made = report(tmp_path, None, tmp_path / "figures")
    assert not (tmp_path / "figures" / "importance.png").exists()
    assert "no band, because TPE proposals depend on earlier trials" in svg_text(tmp_path / "figures" / "tuning.svg")
    assert "without a confidence band, because TPE proposals" in made.text


def test_a_cell_without_a_finished_trial_keeps_its_row_and_the_others_are_drawn(tmp_path: Path) -> None:
    write_search(tmp_path, trials=2, states={("wm", 0): "running", ("wm", 1): "failed"})
    made = report(tmp_path, None, tmp_path / "figures")
    assert re.search(r"\| wm \| wm \| 2 \| 0 \| 0 \| 0 \| 1 \| – \| – \| – \| – \|", made.text)
    assert " wm " not in svg_text(tmp_path / "figures" / "tuning.svg")


def test_a_search_of_diverged_trials_alone_has_no_best(tmp_path: Path) -> None:
    write_search(tmp_path, search_space(["bp"], SHARED), 2, states={("bp", 0): "diverged", ("bp", 1): "diverged"})
    made = report(tmp_path, None, tmp_path / "figures")
    assert "| bp | bp | 2 | 0 | 0 | 2 | 0 | – |" in made.text
    assert "Settings of the best trials" not in made.text


@pytest.mark.parametrize(
    ("trials", "states", "found"),
    [(0, {}, "no trial"), (2, {("bp", 0): "running", ("bp", 1): "failed"}, "1 running or interrupted, 1 failed")],
)
def test_a_search_without_a_finished_trial_is_a_one_line_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trials: int, states: dict[tuple[str, int], str], found: str
) -> None:
    space = write_search(tmp_path, search_space(["bp"]), trials, states=states)
    assert main(["tuned", "--store", str(tmp_path), "--out", str(tmp_path / "figures")]) == 2
    sentence = f"search {space.key} has no finished trial yet ({found}): resume it with the command that started it\n"
    assert capsys.readouterr().err == sentence
    assert not (tmp_path / "figures").exists()


def test_a_study_file_without_early_stopping_is_an_error(tmp_path: Path) -> None:
    space = write_search(tmp_path, search_space(["bp"]), 1)
    path = tmp_path / "studies" / f"{space.key}.json"
    study_file = json.loads(path.read_text())
    del study_file["stopping"]
    path.write_text(json.dumps(study_file))
    with pytest.raises(
        ValueError,
        match="is not a study file that this version of nowt can read \\('stopping' is missing or invalid\\)",
    ):
        report(tmp_path, None, tmp_path / "figures")


def test_the_report_loads_neither_torch_nor_ray_nor_mlflow_nor_optuna() -> None:
    code = "import sys, analysis.report; print([m for m in ('torch', 'ray', 'mlflow', 'optuna') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
