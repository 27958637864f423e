"""The interval over seeds and test images, compared with copies of seeds and images, and with known truths."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from analysis.frames.study import Frames
from analysis.stats.bootstrap import gap_interval, with_image_intervals
from analysis.stats.chance import Chance
from analysis.stats.paired import compare_cells
from analysis.tables.comparison import OVER_IMAGES, comparison_table
from analysis.text.comparison import comparison_notes, sentences
from tests.support.synthetic_frames import frames_of
from tests.support.synthetic_store import rules_study

EIGHT = rules_study(names=("bp", "kp"), seeds=8, epochs=1)


def simulated(chance: np.random.Generator, seeds: int = 8, images: int = 300) -> NDArray[np.int_]:
    """Differences of two cells whose runs find the same images hard; one of them is a little worse."""
    hard, harder = chance.normal(-1.2, 1.0, images), chance.normal(0, 0.4, images)
    luck = chance.normal(0, 0.1, (2, seeds, 1))
    worse = chance.random((seeds, images)) < ndtr(hard + harder + luck[0] + 0.1)
    better = chance.random((seeds, images)) < ndtr(hard + luck[1])
    return worse.astype(int) - better.astype(int)


TRUE_GAP = float(ndtr(-1.1 / 2.17**0.5) - ndtr(-1.2 / 2.01**0.5))  # over all seeds and images of ``simulated``


def test_weights_give_the_interval_of_copies() -> None:
    chance = np.random.default_rng(0)
    differences = simulated(chance, images=60)
    drawn = [
        differences[np.ix_(chance.integers(8, size=8), chance.integers(60, size=60))].mean() for _ in range(10_000)
    ]
    assert gap_interval(differences) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)


def test_the_interval_covers_the_true_gap_in_about_95_of_100_studies() -> None:
    """The pigeonhole bootstrap is somewhat too wide where entries vary on their own, as here."""
    chance = np.random.default_rng(1)
    intervals = [gap_interval(simulated(chance), draws=400, seed=trial) for trial in range(150)]
    assert 0.93 <= np.mean([low <= TRUE_GAP <= high for low, high in intervals]) <= 1.0
    assert np.mean([high - low for low, high in intervals]) < 0.1


def test_without_variance_over_seeds_the_interval_is_that_of_the_images() -> None:
    row = np.random.default_rng(2).choice([-1, 0, 1], p=[0.05, 0.8, 0.15], size=2000)
    low, high = gap_interval(np.tile(row, (8, 1)))
    half = 1.96 * row.std() / len(row) ** 0.5
    assert (low, high) == pytest.approx((row.mean() - half, row.mean() + half), abs=0.001)


def test_without_variance_over_images_the_interval_is_that_of_the_seeds() -> None:
    seeds = np.repeat([0, 1], 4)
    low, high = gap_interval(np.tile(seeds[:, None], (1, 50)))
    assert (low, high) == pytest.approx((0.125, 0.875))  # of 8 draws, 1 to 7 are the worse half
    assert gap_interval(np.zeros((8, 50))) == (0.0, 0.0)


def test_fewer_than_eight_seeds_give_no_interval_and_equal_seeds_give_equal_ones() -> None:
    differences = simulated(np.random.default_rng(3))
    assert all(np.isnan(gap_interval(differences[:7])))
    assert gap_interval(differences) == gap_interval(differences) != gap_interval(differences, seed=1)


def correct(cell: str, seed: int, images: int = 200) -> NDArray[np.bool_]:
    """Which images are classified correctly: under kp fewer."""
    return np.random.default_rng([seed, cell == "kp"]).random(images) < (0.8 if cell == "kp" else 0.9)


def with_intervals(frames: Frames) -> tuple[str, list[str], str]:
    """The sentences, the heading of the table, and the notes of the study's comparisons."""
    tests = with_image_intervals(compare_cells(frames, None), frames)
    table = comparison_table(tests, None)
    assert all(len(line) == len(table.head) for line in table.lines)
    return " ".join(sentences(tests, None, Chance())), table.head, comparison_notes(tests, None)


def test_comparisons_show_the_interval_over_seeds_and_images(tmp_path: Path) -> None:
    frames = frames_of(tmp_path, EIGHT, correct=correct)
    tests = with_image_intervals(compare_cells(frames, None), frames)
    differences = np.array([correct("bp", s).astype(int) - correct("kp", s) for s in range(8)])
    low, high = (100 * end for end in gap_interval(differences))
    assert (tests["images_low"][0], tests["images_high"][0]) == pytest.approx((low, high))
    text, head, notes = with_intervals(frames)
    assert f"; over seeds and images +{low:.2f} to +{high:.2f})" in text
    assert OVER_IMAGES in head and "two-way bootstrap" in notes
    assert "gap_images_low_points" in comparison_table(tests, None).numbers


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"correct": correct, "diverged": {("kp", 0): 0}},
        {"correct": lambda cell, seed: correct(cell, seed, 200 + (cell == "kp"))},
    ],
    ids=["earlier version", "diverged", "other images"],
)
def test_comparisons_without_the_images_of_all_runs_show_the_t_interval_only(
    tmp_path: Path, options: dict[str, object]
) -> None:
    text, head, notes = with_intervals(frames_of(tmp_path, EIGHT, **options))
    assert "over seeds and images" not in text and OVER_IMAGES not in head and "bootstrap" not in notes
