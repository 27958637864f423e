"""Figures of a study: their axes, panels and numbers."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.figures.alignment import alignment_chart
from analysis.figures.curves import curves_chart
from analysis.figures.error_cost import error_cost_chart
from analysis.figures.options import Options
from analysis.figures.transfer import transfer_chart
from analysis.frames.study import Frames
from analysis.published import provenance, published_angles, published_errors
from analysis.stats.costs import AXES, at_cost
from analysis.stats.depth import depth_gaps
from analysis.stats.seeds import error_curves, mean_interval
from analysis.stats.transfer import carried_errors
from analysis.stats.trials import chosen_values, near_shares
from analysis.tables.final import final_table
from analysis.text.notes import notes
from nowt.config.run_config import ModelConfig, RunConfig
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study
from tests.support.synthetic_frames import frames_of, text_of, trials_of
from tests.support.synthetic_search import search_space
from tests.support.synthetic_store import rules_study


def depths() -> Study:
    """Return a study of bp and kp in two networks of different depth."""
    cells = [
        Cell(f"{rule} {model}", RunConfig(rule=find_rule(rule)(), model=ModelConfig(model), epochs=2))
        for model in ("resnet20", "resnet32")
        for rule in ("bp", "kp")
    ]
    return Study("depths", "Does the gap widen?", tuple(cells), (0, 1, 2), "bp resnet20")


def carried() -> Study:
    """Return a study like that of ``nowt transfer``: the target's recipe, and two settings from a search."""
    base = RunConfig(rule=find_rule("kp")(), epochs=2)
    cells = [
        Cell(name, replace(base, batch=10 + i)) for i, name in enumerate(("kp recipe", "kp trial 7", "kp trial 3"))
    ]
    return Study("tuned_on_digits", "Do they carry over?", tuple(cells), (0, 1), "kp recipe")


@pytest.mark.parametrize(
    ("against", "title"),
    [
        ("epochs", "Epoch"),
        ("presentations", "Presentations, mirror samples included (thousands)"),
        ("flops", "Training, mirror mode included (GFLOP)"),
        ("seconds", "Time in training steps (s)"),
    ],
)
def test_the_x_axis_names_the_chosen_cost_and_its_unit(tmp_path: Path, against: str, title: str) -> None:
    assert title in text_of(curves_chart(frames_of(tmp_path), Options(against)))


def test_presentations_include_mirror_samples_and_are_extrapolated_for_diverged_runs(tmp_path: Path) -> None:
    gone = {("fa", seed): 1 for seed in range(3)}
    frames = frames_of(tmp_path, rules_study(names=["bp", "fa", "wm"], epochs=3), diverged=gone)
    means = mean_interval(error_curves(frames, "test"), ["cell", "epoch"], "error")
    costs = at_cost(means, frames, "presentations").set_index(["cell", "epoch"])["cost"]
    assert [costs["bp", epoch] for epoch in range(4)] == [0, 6400, 12800, 19200]
    assert costs["wm", 3] == 3 * (6400 + 640)
    assert costs["fa", 3] == pytest.approx(19200)  # of which it ran one epoch


def test_each_model_has_a_panel_and_a_rule_has_the_same_line_in_all_panels(tmp_path: Path) -> None:
    words = text_of(curves_chart(frames_of(tmp_path, depths())))
    assert "resnet20" in words and "resnet32" in words
    legend = [word for word in words.split() if word in ("bp", "kp")]
    assert legend.count("kp") == 1 + 2  # in the legend, and beside each net's seeds


def test_published_curves_are_marked_as_such_with_their_band_and_source(tmp_path: Path) -> None:
    frames = frames_of(tmp_path)
    words = text_of(curves_chart(frames, Options(published=True)))
    for text in ("bp, published", "ResNet-18, published", "ResNet-50, published", "±1 point", "2,048 images"):
        assert text in words
    assert "published" not in text_of(curves_chart(frames))
    angles = text_of(alignment_chart(frames, Options(published=True)))
    assert "wm, published: ResNet-50 on ImageNet" in angles and "Akrout" in angles


def test_published_curves_are_overlaid_on_the_same_network_trained_on_imagenet(tmp_path: Path) -> None:
    config = RunConfig(rule=find_rule("bp")(), model=ModelConfig("resnet18"), epochs=2)
    config = replace(config, data=replace(config.data, name="imagenet", size=64, noise=0.0, augment="none"))
    study = Study("net", "?", (Cell("bp", config),), (0,))
    words = text_of(curves_chart(frames_of(tmp_path, study), Options(published=True)))
    assert "ResNet-18, published" not in words and "ResNet-50, published" in words


def test_published_numbers_match_the_paper() -> None:
    errors = published_errors()
    last = errors.groupby(["model", "rule"])["error"].apply(lambda values: values.tail(5).mean())
    assert last["ResNet-50", "kp"] == pytest.approx(23.59, abs=0.01)
    assert last["ResNet-18", "fa"] == pytest.approx(97.36, abs=0.01)
    inside = errors[errors["error"].between(1, 99)]
    assert (inside["high"] - inside["low"]).round(6).eq(2).all()
    angles = published_angles()
    final = angles[(angles["rule"] == "wm") & (angles["measure"] == "matrix") & (angles["epoch"] > 98)]
    assert final[final["layer"] == 50]["angle"].mean() == pytest.approx(9.2, abs=0.1)
    assert angles[angles["rule"] == "wm"].groupby("measure")["angle"].max().lt(25).all()
    assert "NeurIPS 2019" in provenance()


def test_an_installed_package_contains_the_published_numbers_and_the_html_page(tmp_path: Path) -> None:
    """The package data are read from a copy in another folder, without the checkout."""
    here = Path(__file__).parents[3]
    shutil.copytree(here / "analysis", tmp_path / "analysis", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(here / "platform" / "nowt", tmp_path / "nowt", ignore=shutil.ignore_patterns("__pycache__"))
    code = "import analysis.published as p, analysis.report.html_page as w\n"
    code += "print(len(p.published_errors()), p.__file__, len(w._resource('page.js')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == ["1229", str(tmp_path / "analysis" / "published" / "__init__.py")]


def test_the_gap_by_depth_is_relative_to_backprop_in_the_same_network(tmp_path: Path) -> None:
    errors = {"bp resnet20": 0.1, "kp resnet20": 0.11, "bp resnet32": 0.05, "kp resnet32": 0.09}
    gaps = depth_gaps(frames_of(tmp_path, depths(), error=lambda cell, seed, epoch: errors[cell] + 0.01 * seed))
    found = gaps.set_index("depth")[["mean", "low", "high"]].round(6)
    assert found["mean"].tolist() == [1, 4]
    assert found[["low", "high"]].isna().all(axis=None)  # the gaps of all seeds are the same


def test_a_study_of_one_depth_has_no_gap_by_depth(tmp_path: Path) -> None:
    assert depth_gaps(frames_of(tmp_path)).empty


def test_transferred_settings_are_compared_with_the_targets_recipe_by_rank(tmp_path: Path) -> None:
    errors = {"kp recipe": 0.10, "kp trial 7": 0.08, "kp trial 3": 0.2}
    frames = frames_of(tmp_path, carried(), error=lambda cell, seed, epoch: errors[cell])
    found = carried_errors(frames).set_index("cell")
    assert list(found["rank"]) == ["best", "second"]
    assert list(found["mean"].round(6)) == [8, 20]
    assert list(found["own"].round(6)) == [10, 10]
    assert "error with the target's recipe (%)" in text_of(transfer_chart(frames))


def test_other_studies_have_no_transfer_figure(tmp_path: Path) -> None:
    assert transfer_chart(frames_of(tmp_path)) is None


def test_error_against_cost_has_a_panel_for_each_unit(tmp_path: Path) -> None:
    words = text_of(error_cost_chart(frames_of(tmp_path)))
    assert all(unit in words for unit in ("(thousands)", "(GFLOP)", "(s)", "Test error (%"))
    assert {"epochs", "presentations", "flops", "seconds"} == set(AXES)


def test_the_percentage_of_trials_near_the_best_matches_a_count_by_hand(tmp_path: Path) -> None:
    errors = [0.10, 0.105, 0.12, 0.2]
    states = {("bp", 3): "diverged"}
    space = search_space(["bp"])
    shares = near_shares(trials_of(tmp_path, space, 4, states=states, error=lambda cell, trial, values: errors[trial]))
    assert list(shares["points"].round(6)) == [0, 0.5, 2, 80]
    assert list(shares["share"]) == [25, 50, 75, 100]


def test_chosen_values_are_those_of_the_best_trials(tmp_path: Path) -> None:
    errors = [0.3, 0.1, 0.2]
    trials = trials_of(tmp_path, search_space(["wm"]), 3, error=lambda cell, trial, values: errors[trial])
    values = chosen_values(trials)
    rates = values[values["setting"] == "optim.lr"].set_index("rank")
    assert list(rates.loc[[1, 2, 3], "trial"]) == [1, 2, 0]
    assert rates.loc[1, "value"] == trials.frame.set_index("trial").loc[1, "optim.lr"]
    assert "rule.samples" in set(values["setting"]) and "optim.schedule" not in set(values["setting"])


def words_about(frames: Frames) -> str:
    return notes(frames, final_table(frames))


def test_an_epoch_without_an_error_is_reported_and_the_others_are_drawn(tmp_path: Path) -> None:
    frames = frames_of(tmp_path)
    hole = (frames.epochs["cell"] == "kp") & (frames.epochs["seed"] == 1) & (frames.epochs["epoch"] == 2)
    epochs = frames.epochs.assign(test_error=frames.epochs["test_error"].mask(hole))
    frames = replace(frames, epochs=epochs)
    assert "excluded from the mean: kp with seed 1 at epoch 2." in words_about(frames)
    assert "Test error" in text_of(curves_chart(frames))


def test_cells_with_different_numbers_of_epochs_are_reported_and_drawn(tmp_path: Path) -> None:
    cells = tuple(Cell(f"bp {n}", RunConfig(rule=find_rule("bp")(), epochs=n)) for n in (2, 4))
    frames = frames_of(tmp_path, Study("long", "?", cells, (0, 1, 2), "bp 2"))
    assert "each is evaluated after its own last epoch: bp 2 (2), bp 4 (4)." in words_about(frames)
    assert "bp 4" in text_of(curves_chart(frames))


def test_a_rule_without_angles_is_reported_and_omitted_from_alignment_figures(tmp_path: Path) -> None:
    frames = frames_of(tmp_path)
    frames = replace(frames, layers=frames.layers[frames.layers["cell"] != "ss"])
    assert "No angle was measured for ss;" in words_about(frames)
    assert " ss " not in text_of(alignment_chart(frames))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"against": "steps"}, "--against is 'steps': it must be one of epochs, presentations, flops, seconds"),
        ({"against": "flops", "published": True}, "--published requires --against epochs, but --against is flops"),
    ],
)
def test_invalid_options_are_rejected(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Options(**given)


def test_the_curves_show_the_mean_of_the_logged_errors(tmp_path: Path) -> None:
    """Compare the curves with a plain group-by."""
    frames = frames_of(tmp_path)
    means = mean_interval(error_curves(frames, "test"), ["cell", "epoch"], "error").set_index(["cell", "epoch"])["mean"]
    plain = frames.epochs.groupby(["cell", "epoch"])["test_error"].mean()
    pd.testing.assert_series_equal(means.sort_index(), plain.sort_index(), check_names=False)
