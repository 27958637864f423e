"""Statistics over seeds, compared with scipy."""

from dataclasses import replace
from math import isnan, nan
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from analysis.frames.study import Frames
from analysis.stats.permutation import smallest_p
from analysis.stats.seeds import (
    curve_split,
    diverged_counts,
    error_curves,
    final_errors,
    mean_interval,
    paired_gaps,
    scored_split,
)
from nowt.store.run_log import LogWriter
from tests.support.synthetic_frames import frames_in
from tests.support.synthetic_store import CHANCE, key_of, rules_study, write_store

PAIR = rules_study(names=["bp", "kp"], epochs=3)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Five rules, three seeds, ten epochs; one run of fa diverged in its fifth epoch."""
    store = tmp_path_factory.mktemp("store")
    write_store(store, diverged={("fa", 2): 4})
    return frames_in(store)


def test_mean_and_interval_are_those_of_scipy(frames: Frames) -> None:
    curves = error_curves(frames, "test")
    found = mean_interval(curves, ["cell", "epoch"], "error").set_index(["cell", "epoch"])
    for group, errors in curves.groupby(["cell", "epoch"])["error"]:
        expected = (errors.mean(), nan, nan)
        if errors.std() > 1e-12:
            expected = (errors.mean(), *stats.t.interval(0.95, len(errors) - 1, errors.mean(), stats.sem(errors)))
        assert tuple(found.loc[group, ["mean", "low", "high"]]) == pytest.approx(expected, nan_ok=True)


def test_the_last_epoch_counts_even_where_an_earlier_one_was_better(tmp_path: Path) -> None:
    write_store(tmp_path, PAIR, error=lambda cell, seed, epoch: 0.1 if epoch == 2 else 0.3)
    final = final_errors(error_curves(frames_in(tmp_path), "test"))
    assert set(final["epoch"]) == {3}
    assert set(final["error"]) == {0.3}


def test_the_gap_is_paired_by_seed_as_in_scipy(frames: Frames) -> None:
    final = final_errors(error_curves(frames, "test"))
    by_seed = final.pivot(index="seed", columns="cell", values="error")
    gaps = paired_gaps(final, "bp").set_index("cell")
    assert set(gaps.index) == {"fa", "ss", "wm", "kp"}
    for cell, gap in gaps.iterrows():
        interval = stats.ttest_rel(by_seed[cell], by_seed["bp"]).confidence_interval(0.95)
        expected = ((by_seed[cell] - by_seed["bp"]).mean(), interval.low, interval.high)
        assert tuple(gap[["mean", "low", "high"]]) == pytest.approx(expected)


def test_pairing_removes_differences_between_seeds_that_all_cells_share(tmp_path: Path) -> None:
    write_store(tmp_path, PAIR, error=lambda cell, seed, epoch: 0.1 * seed + (0.02 if cell == "kp" else 0.0))
    gap = paired_gaps(final_errors(error_curves(frames_in(tmp_path), "test")), "bp").set_index("cell").loc["kp"]
    assert gap["mean"] == pytest.approx(0.02)
    assert isnan(gap["low"]) and isnan(gap["high"])  # as wide as nothing would be a claim


def test_a_seed_that_the_reference_lacks_is_not_paired(tmp_path: Path) -> None:
    write_store(tmp_path, PAIR, missing=[("bp", 1)])
    gaps = paired_gaps(final_errors(error_curves(frames_in(tmp_path), "test")), "bp")
    assert set(gaps["n"]) == {2}
    assert gaps[["low", "high"]].isna().all(axis=None)


def test_a_diverged_run_counts_at_chance_from_the_epoch_it_diverged_on(frames: Frames) -> None:
    curves = error_curves(frames, "test").query("cell == 'fa' and seed == 2").set_index("epoch")["error"].sort_index()
    assert list(curves.index) == list(range(11))
    assert (curves.loc[5:] == CHANCE).all()
    assert (curves.loc[1:4] < 0.6).all()
    assert diverged_counts(frames.runs).set_index("cell").loc["fa"].to_dict() == {"n": 3, "diverged": 1}


def test_a_run_that_diverged_before_its_first_epoch_is_at_chance_throughout(tmp_path: Path) -> None:
    write_store(tmp_path, PAIR, diverged={("kp", 0): -1})
    curves = error_curves(frames_in(tmp_path), "test").query("cell == 'kp' and seed == 0")
    assert list(curves["epoch"]) == [0, 1, 2, 3]
    assert set(curves["error"]) == {CHANCE}


def test_an_unfinished_run_enters_no_statistic(tmp_path: Path) -> None:
    study = write_store(tmp_path, PAIR, stopped={("kp", 1): 2}, missing=[("kp", 2)])
    LogWriter.open(tmp_path, key_of(study, "kp", 1)).end("failed", "the disk is full")
    frames = frames_in(tmp_path)
    assert list(frames.runs.query("cell == 'kp'")["state"]) == ["finished", "failed", "not started"]
    assert set(error_curves(frames, "test").query("cell == 'kp'")["seed"]) == {0}


def test_two_seeds_give_a_mean_and_no_interval(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(seeds=2, epochs=2))
    means = mean_interval(error_curves(frames_in(tmp_path), "test"), ["cell", "epoch"], "error")
    assert means["mean"].notna().all()
    assert means[["low", "high"]].isna().all(axis=None)


def test_equal_errors_give_a_mean_and_no_interval() -> None:
    row = mean_interval(pd.DataFrame({"cell": ["fa"] * 3, "error": [0.9] * 3}), ["cell"], "error").iloc[0]
    assert row["mean"] == pytest.approx(0.9) and isnan(row["low"]) and isnan(row["high"])


def test_the_smallest_p_is_that_of_equal_signs() -> None:
    differences = [0.01, 0.02, 0.03, 0.04]
    test = stats.permutation_test((differences,), lambda x, axis: x.mean(axis=axis), permutation_type="samples")
    assert smallest_p(4) == pytest.approx(test.pvalue)
    assert [smallest_p(n) for n in (1, 3, 5)] == [1, 0.25, 0.0625]


def test_validation_errors_are_used_if_test_images_were_not(tmp_path: Path) -> None:
    write_store(tmp_path, PAIR, test=False)
    frames = frames_in(tmp_path)
    assert scored_split(frames) == "val"
    assert error_curves(frames, "val")["error"].notna().all()


def test_runs_that_score_their_test_images_last_have_validation_curves_and_final_test_errors(tmp_path: Path) -> None:
    """Also if one of them diverged, which then has no test error."""
    cells = tuple(replace(cell, config=replace(cell.config, test="last")) for cell in PAIR.cells)
    write_store(tmp_path, replace(PAIR, cells=cells), diverged={("kp", 0): 1})
    frames = frames_in(tmp_path)
    assert (curve_split(frames), scored_split(frames)) == ("val", "test")
    assert error_curves(frames, "val")["error"].notna().all()
    assert final_errors(error_curves(frames, "test"))["error"].notna().all()
