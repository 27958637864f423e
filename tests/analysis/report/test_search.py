"""The report of a search: its frame, curves, map, importances and table, and its sentences where there is nothing."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.figures.importance import importance_chart
from analysis.figures.landscape import landscape_chart
from analysis.frames.searches import SearchPlan
from analysis.frames.store.trial_rows import TRIALS, trial_columns
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.trials import Trials, read_trials
from analysis.report.content import Report
from analysis.report.study import report
from analysis.stats.importance import importances
from analysis.stats.tuning import tuning_curves
from analysis.tables.search import SEARCH_TABLE, search_table
from analysis.text.search import search_notes
from nowt.studies.search.params import Choice, Range
from nowt.studies.search.space import Budget
from tests.support.earlier_reports import leave
from tests.support.synthetic_search import SHARED, drawn, search_space, write_search
from tests.support.synthetic_store import rules_study, write_store

RATE = Range("optim.lr", 0.005, 0.5, log=True)


def trials_of(store: Path) -> Trials:
    plan = find_study(store)
    assert isinstance(plan, SearchPlan)
    return read_trials(store, plan)


def with_errors(errors: Mapping[str, list[float]], states: Mapping[tuple[str, int], str] | None = None) -> Trials:
    """Trials of a search by random draws that reached these errors, by cell."""
    cells = {cell: {"rule": {"name": cell}, "epochs": 3} for cell in errors}
    plan = SearchPlan("s", "s-1", "?", 1, "random", "none", "12 trials", cells, dict.fromkeys(errors, ()), ())
    rows = [
        {"run": f"{cell}{i}", "cell": cell, "rule": cell, "trial": i, "reason": "", "error": error, "epochs": 3}
        | {"state": (states or {}).get((cell, i), "finished"), "presentations": 10.0, "flops": 1.0, "seconds": 60.0}
        for cell, reached in errors.items()
        for i, error in enumerate(reached)
    ]
    return Trials(plan, pd.DataFrame(rows)[list(TRIALS)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of two rules with twelve draws each, of which one diverged and one failed."""
    store = tmp_path_factory.mktemp("store")
    write_search(store, states={("wm", 3): "diverged", ("wm", 5): "failed"})
    return report(store, "tuned", store / "figures")


def test_the_frame_has_the_declared_columns_and_a_row_for_each_trial(tmp_path: Path) -> None:
    write_search(tmp_path)
    trials = trials_of(tmp_path)
    assert {name: str(kind) for name, kind in trials.frame.dtypes.items()} == trial_columns(trials.plan)
    settings = ["optim.lr", "optim.weight_decay", "optim.schedule", "optim.milestones"]
    own = ["rule.decay", "rule.eta/rule.decay", "rule.samples"]
    assert list(trials.frame.columns) == [*TRIALS, *settings, *own]
    assert list(trials.frame["cell"]) == ["bp"] * 12 + ["wm"] * 12
    assert list(trials.frame["trial"]) == [*range(12), *range(12)]


def test_a_trial_has_the_values_that_it_was_given_and_no_others(tmp_path: Path) -> None:
    space = write_search(tmp_path)
    frame = trials_of(tmp_path).frame
    for cell in space.cells:
        for row in frame[frame["cell"] == cell.name].to_dict("records"):
            values = drawn(cell, row["trial"])
            assert {name for name in frame.columns if "." in name and not pd.isna(row[name])} == set(values)
            assert row["optim.schedule"] == values["optim.schedule"]
            assert row["optim.lr"] == values["optim.lr"]
            if cell.name == "wm":
                assert row["rule.eta/rule.decay"] == pytest.approx(values["rule.eta/rule.decay"])
    assert {"1, 2"} <= set(frame["optim.milestones"].dropna()) <= {"1, 2", "2"}


def test_errors_and_costs_are_those_of_the_last_epoch(tmp_path: Path) -> None:
    write_search(
        tmp_path,
        states={("wm", 0): "diverged", ("wm", 1): "stopped", ("wm", 2): "not started", ("wm", 3): "running"},
        error=lambda cell, trial, values: 0.25,
    )
    wm = trials_of(tmp_path).frame.query("cell == 'wm'").set_index("trial")
    assert list(wm["state"][:5]) == ["diverged", "stopped", "not started", "running", "finished"]
    assert list(wm["error"][[0, 1, 3, 4]]) == [0.9, 0.25, 0.25, 0.25]
    assert np.isnan(wm["error"][2])
    assert list(wm["epochs"][:5]) == [1, 1, 0, 1, 3]
    assert list(wm["presentations"][:5]) == [110, 110, 0, 110, 330]  # mirror samples included
    assert list(wm["seconds"][:5]) == [6, 6, 0, 6, 18]


def test_a_draw_that_failed_and_was_tried_again_counts_once(tmp_path: Path) -> None:
    space = write_search(tmp_path, search_space(["bp"]), trials=4)
    path = tmp_path / "studies" / f"{space.key}.json"
    study_file = json.loads(path.read_text())
    study_file["runs"].append({**study_file["runs"][1], "trial": 4})
    study_file["runs"][1]["failed"] = True
    path.write_text(json.dumps(study_file))
    assert list(trials_of(tmp_path).frame["trial"]) == [0, 2, 3, 4]


def test_two_equal_choices_are_two_trials(tmp_path: Path) -> None:
    params = [Choice("optim.lr", (0.01, 0.1))]
    write_search(tmp_path, search_space(["bp"], params), trials=12)
    frame = trials_of(tmp_path).frame
    assert len(frame) == 12
    assert frame["run"].nunique() == 2
    assert str(frame["optim.lr"].dtype) == "float64"


def test_the_tuning_curve_is_the_median_of_the_best_of_so_many_resampled_draws() -> None:
    generator = np.random.default_rng(0)
    errors = generator.uniform(0.05, 0.9, 13)
    curve = tuning_curves(with_errors({"kp": list(errors)})).set_index("trials")
    for n in range(1, 14):
        best = generator.choice(errors, (20_000, n)).min(axis=1)
        assert curve["error"][n] == np.quantile(best, 0.5, method="inverted_cdf")


def test_the_band_holds_the_true_curve_for_all_numbers_of_draws_in_95_of_100_searches() -> None:
    generator = np.random.default_rng(1)
    searches = {f"{i}": list(generator.uniform(size=12)) for i in range(400)}
    curves = tuning_curves(with_errors(searches))
    truth = 1 - 0.5 ** (1 / curves["trials"])  # median of the least of n uniform draws
    held = (curves["low"] <= truth) & (truth <= curves["high"])
    assert 0.92 < held.groupby(curves["cell"]).all().mean() <= 0.98


def test_diverged_trials_are_draws_at_chance_and_their_ties_do_no_harm() -> None:
    states = {("fa", i): "diverged" for i in range(3)} | {("fa", 5): "failed"}
    curve = tuning_curves(with_errors({"fa": [0.9, 0.9, 0.9, 0.2, 0.3, 0.01]}, states))
    assert list(curve["trials"]) == [1, 2, 3, 4, 5]
    assert list(curve["error"]) == [0.9, 0.3, 0.3, 0.2, 0.2]
    assert (curve["low"] <= curve["error"]).all() and (curve["error"] <= curve["high"]).all()


@pytest.mark.parametrize(("sampler", "stopping"), [("tpe", "none"), ("random", "halving")])
def test_dependent_trials_give_the_best_so_far_and_no_band(tmp_path: Path, sampler: Any, stopping: Any) -> None:
    errors = [0.5, 0.1, 0.6, 0.3, 0.4, 0.2]
    space = search_space(["bp"], sampler=sampler, stopping=stopping)
    states = {("bp", 1): "stopped", ("bp", 4): "failed"}
    write_search(tmp_path, space, 6, states=states, error=lambda cell, trial, values: errors[trial])
    curve = tuning_curves(trials_of(tmp_path))
    assert list(curve["trials"]) == [1, 2, 3, 4, 5]
    assert list(curve["error"]) == [0.5, 0.5, 0.5, 0.3, 0.2]  # the stopped one is spent, the failed one is not
    assert curve[["low", "high"]].isna().all(axis=None)


def test_a_budget_in_another_unit_than_trials_is_what_the_curve_stands_over(tmp_path: Path) -> None:
    errors = [0.4, 0.3, 0.2, 0.1]
    dear = with_errors({"bp": errors, "wm": errors})
    dear.frame.loc[dear.frame["cell"] == "wm", "presentations"] = [20.0, 40.0, 20.0, 40.0]
    by_cost = replace(dear, plan=replace(dear.plan, budget="100 presentations"))
    spent = {name: list(curve["spent"]) for name, curve in tuning_curves(by_cost).groupby("cell")}
    assert spent == {"bp": [10, 20, 30, 40], "wm": [30, 60, 90, 120]}
    halved = replace(by_cost, plan=replace(by_cost.plan, stopping="halving"))
    assert list(tuning_curves(halved).query("cell == 'wm'")["spent"]) == [20, 60, 80, 120]
    assert list(tuning_curves(dear)["spent"]) == list(tuning_curves(dear)["trials"])
    assert "how many there are follows from what they cost" in search_notes(by_cost)
    write_search(tmp_path, replace(search_space(), budget=Budget(2000, "presentations")))
    report(tmp_path, "tuned", tmp_path / "figures")
    assert "Presentations (log scale)" in svg_text(tmp_path / "figures" / "tuning.svg")


def test_the_tables_counts_shares_and_costs_by_hand(tmp_path: Path) -> None:
    errors = [0.100, 0.105, 0.110, 0.119, 0.150, 0.400, 0.01, 0.02]
    states = {("wm", 5): "diverged", ("wm", 6): "failed", ("wm", 7): "stopped"}
    write_search(tmp_path, search_space(["wm"]), 8, states=states, error=lambda cell, trial, values: errors[trial])
    table = search_table(trials_of(tmp_path))
    assert list(table.columns) == list(SEARCH_TABLE)
    row = table.iloc[0]
    assert row[["trials", "complete", "stopped", "diverged", "failed", "unfinished"]].tolist() == [8, 5, 1, 1, 1, 0]
    assert (row["best_error_percent"], row["best_trial"]) == (pytest.approx(10), 0)
    near = [row[f"within_{points}_percent"] for points in (1, 2, 5)]
    assert near == pytest.approx([100 * 3 / 6, 100 * 4 / 6, 100 * 5 / 6])
    assert row["presentations"] == 5 * 330 + 3 * 110
    assert row["seconds"] == 5 * 18 + 3 * 6
    lr = trials_of(tmp_path).frame["optim.lr"][0]
    assert row["best_values"].startswith(f"optim.lr {lr:.3g}; ")


def test_what_the_error_depends_on_is_what_matters(tmp_path: Path) -> None:
    write_search(tmp_path, trials=30)
    shares = importances(trials_of(tmp_path))
    for cell in ("bp", "wm"):
        here = shares[shares["cell"] == cell]
        assert here["setting"].iloc[0] == "optim.lr"
        assert here["importance"].iloc[0] > 0.6
        assert set(here["n"]) == {30}
        assert "optim.milestones" not in set(here["setting"])  # not every trial had them
    pd.testing.assert_frame_equal(shares, importances(trials_of(tmp_path)))


def test_a_range_on_a_log_scale_is_weighed_on_that_scale(tmp_path: Path) -> None:
    """Half of the draws are below 0.05, where the error falls; on a linear scale they would be a tenth."""
    space = search_space(["bp"], [RATE, Range("optim.momentum", 0.0, 0.9)])

    def error(cell: str, trial: int, values: Mapping[str, Any]) -> float:
        return (0.2 if values["optim.lr"] < 0.05 else 0.1) + 0.1 * (values["optim.momentum"] > 0.45)

    write_search(tmp_path, space, 60, error=error)
    shares = importances(trials_of(tmp_path)).set_index("setting")["importance"]
    assert shares["optim.lr"] == pytest.approx(0.5, abs=0.05)


def test_few_trials_have_no_importance_and_the_words_say_so(tmp_path: Path) -> None:
    write_search(tmp_path, trials=10, states={("wm", 0): "failed"})
    trials = trials_of(tmp_path)
    assert set(importances(trials)["cell"]) == {"bp"}
    assert "No importances for wm: they take 10 finished or diverged trials" in search_notes(trials)


def test_trials_of_one_error_have_no_importance(tmp_path: Path) -> None:
    write_search(tmp_path, error=lambda cell, trial, values: 0.9)
    assert importance_chart(trials_of(tmp_path)) is None


def test_a_map_needs_learning_rate_and_weight_decay(tmp_path: Path) -> None:
    write_search(tmp_path, search_space(["bp"], [RATE]))
    trials = trials_of(tmp_path)
    assert landscape_chart(trials) is None
    assert "No map: no cell with a finished trial varied both optim.lr and optim.weight_decay" in search_notes(trials)


def test_the_map_marks_the_best_and_shows_how_trials_ended(tmp_path: Path) -> None:
    states = {("bp", 0): "stopped", ("wm", 1): "diverged"}
    write_search(tmp_path, search_space(stopping="halving"), states=states)
    drawn_map = json.dumps(landscape_chart(trials_of(tmp_path)).to_dict(), ensure_ascii=False)
    for words in ("cross: diverged, at chance", "grey: stopped early", "ring: the best", "Learning rate η"):
        assert words in drawn_map
    assert len(re.findall(r"(bp|wm), best \d+\.\d\d %", drawn_map)) == 2


def svg_text(path: Path) -> str:
    return " ".join(ElementTree.parse(path).getroot().itertext())


DRAWN = ("tuning", "forgiving", "landscape", "importance", "chosen", "pareto")


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
    for words in ("Error of the best (%", "Trials (log scale)", "band: 95 %", "wm (1 of 11 diverged)"):
        assert words in tuning
    assert "Validation error (%" in landscape and "Weight decay λ" in landscape
    assert "Share of trials as near (%)" in drawn["forgiving"]
    assert "optim.lr, log scale" in drawn["chosen"] and "rule.eta as a multiple of rule.decay" in drawn["chosen"]
    assert "bp, 12 trials" in importance and "Share of the error's variance (%)" in importance


def test_the_words_say_what_the_numbers_are(made: Report) -> None:
    for words in (
        "Quasi-random proposals, no early stopping, a budget of 12 trials for each cell.",
        "validation pictures after a trial's last epoch, never its best one",
        "Diverged, and counted at chance (1 − 1/classes): 1.",
        "Quasi-random draws are more even than independent ones",
        "Failed or not finished, and not counted: 1.",
    ):
        assert words in made.text
    table = [line for line in made.text.splitlines() if line.startswith("|")]
    assert len(table) == 4 and len({line.count("|") for line in table}) == 1


def test_a_search_by_tpe_says_why_there_is_no_band(tmp_path: Path) -> None:
    write_search(tmp_path, search_space(sampler="tpe", stopping="halving"), 3)
    leave(tmp_path / "figures", "importance.png")
    made = report(tmp_path, None, tmp_path / "figures")
    assert not (tmp_path / "figures" / "importance.png").exists()
    assert "no band, since TPE proposes by what earlier trials" in svg_text(tmp_path / "figures" / "tuning.svg")
    assert "without a band, since TPE proposes" in made.text


def test_a_cell_without_a_finished_trial_keeps_its_row_and_the_others_are_drawn(tmp_path: Path) -> None:
    write_search(tmp_path, trials=2, states={("wm", 0): "running", ("wm", 1): "failed"})
    made = report(tmp_path, None, tmp_path / "figures")
    assert re.search(r"\| wm \| wm \| 2 \| 0 \| 0 \| 0 \| 1 \| – \| – \| – \| – \|", made.text)
    assert " wm " not in svg_text(tmp_path / "figures" / "tuning.svg")


def test_a_search_of_diverged_trials_alone_has_no_best(tmp_path: Path) -> None:
    write_search(tmp_path, search_space(["bp"], SHARED), 2, states={("bp", 0): "diverged", ("bp", 1): "diverged"})
    made = report(tmp_path, None, tmp_path / "figures")
    assert "| bp | bp | 2 | 0 | 0 | 2 | 0 | – |" in made.text
    assert "Settings of each best" not in made.text


def test_a_study_and_a_search_of_one_store_are_told_apart(tmp_path: Path) -> None:
    write_search(tmp_path, trials=2, created=2)
    write_store(tmp_path, rules_study(names=["bp"], epochs=2), created=1)
    assert isinstance(find_study(tmp_path), SearchPlan)
    assert isinstance(find_study(tmp_path, "rules"), StudyPlan)


@pytest.mark.parametrize(
    ("trials", "states", "found"),
    [(0, {}, "no trial"), (2, {("bp", 0): "running", ("bp", 1): "failed"}, "1 running, 1 failed")],
)
def test_a_search_without_a_finished_trial_gets_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trials: int, states: dict[tuple[str, int], str], found: str
) -> None:
    space = write_search(tmp_path, search_space(["bp"]), trials, states=states)
    assert main(["tuned", "--store", str(tmp_path), "--out", str(tmp_path / "figures")]) == 2
    sentence = f"search {space.key} has no finished trial yet ({found}): `nowt search tuned` goes on with it\n"
    assert capsys.readouterr().err == sentence
    assert not (tmp_path / "figures").exists()


def test_a_study_file_without_its_stopping_is_named(tmp_path: Path) -> None:
    space = write_search(tmp_path, search_space(["bp"]), 1)
    path = tmp_path / "studies" / f"{space.key}.json"
    study_file = json.loads(path.read_text())
    del study_file["stopping"]
    path.write_text(json.dumps(study_file))
    with pytest.raises(ValueError, match="is no study that this nowt reads \\('stopping' is missing or wrong\\)"):
        report(tmp_path, None, tmp_path / "figures")


def test_the_report_loads_neither_torch_nor_ray_nor_mlflow_nor_optuna() -> None:
    code = "import sys, analysis.report; print([m for m in ('torch', 'ray', 'mlflow', 'optuna') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
