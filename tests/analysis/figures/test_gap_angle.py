"""The gap in error against the δ angle: its numbers, the cells that it leaves out, and its labels."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.figures.gap_angle import gap_angle_chart
from analysis.figures.style.labels import PLACEMENTS, place_labels
from analysis.frames.study import Frames
from analysis.stats.gap_angle import gaps_and_angles
from analysis.stats.layers import late_delta_angles
from nowt.studies.claim import Claim
from tests.support.synthetic_frames import frames_with, text_of
from tests.support.synthetic_store import rules_study

GAPS = {"bp": 0.0, "fa": 0.2, "ss": 0.02, "wm": 0.01, "kp": 0.005}


def error(cell: str, seed: int, epoch: int) -> float:
    return 0.1 + GAPS[cell] + 0.002 * seed * (cell == "wm") if epoch else 0.9


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Five rules, three seeds, two epochs; wm's gap to bp varies over seeds."""
    return frames_with(tmp_path_factory.mktemp("store"), rules_study(epochs=2), error, layers=3)


def undefined(frames: Frames, where: str) -> Frames:
    layers = frames.layers.copy()
    layers.loc[layers.eval(where), "delta_angle"] = math.nan
    return replace(frames, layers=layers)


def test_a_point_is_the_mean_gap_and_the_mean_angle_of_a_cell(frames: Frames) -> None:
    found = gaps_and_angles(frames).set_index("cell")
    assert list(found.index) == ["fa", "ss", "wm", "kp"] and set(found["against"]) == {"bp"}
    wm = found.loc["wm"]
    half = 4.302653 * 0.2 / 3**0.5  # t of 2 degrees of freedom at 0.975; the gaps are 1.0, 1.2 and 1.4 points
    assert (wm["gap"], wm["gap_low"], wm["gap_high"]) == pytest.approx((1.2, 1.2 - half, 1.2 + half))
    runs = late_delta_angles(frames).query("cell == 'wm'")["delta_angle"]
    assert wm["angle"] == pytest.approx(runs.mean()) and wm["angle_low"] < runs.min() and wm["angle_n"] == 3


def test_the_figure_names_each_cell_and_says_what_it_shows(frames: Frames) -> None:
    text = text_of(gap_angle_chart(frames))
    assert "test error minus that of bp, paired by" in text and "logarithmic beyond 1 point" in " ".join(text.split())
    assert {"fa", "ss", "wm", "kp"} <= set(text.split()) and "claim" not in text
    claimed = replace(frames, study=replace(frames.study, claim=Claim(("kp",), 1.5, 20.0)))
    assert "gray: 1.5 points and 20° of the claim" in " ".join(text_of(gap_angle_chart(claimed)).split())


def test_a_cell_without_a_defined_angle_is_left_out(frames: Frames, tmp_path: Path) -> None:
    assert list(gaps_and_angles(undefined(frames, "cell == 'fa' and seed == 1 and epoch == 2"))["cell"]) == [
        "ss",
        "wm",
        "kp",
    ]
    assert len(gaps_and_angles(undefined(frames, "cell == 'fa' and epoch < 2"))) == 4  # in the first half
    assert gap_angle_chart(undefined(frames, "cell in ('fa', 'ss')")) is None


def test_a_study_without_a_reference_has_no_figure(tmp_path: Path) -> None:
    study = rules_study(names=["fa", "ss", "wm", "kp"], epochs=1)
    assert gap_angle_chart(frames_with(tmp_path, study, error)) is None


def test_labels_cover_neither_points_nor_each_other_and_stay_in_the_plot() -> None:
    points, labels, size = [(20.0, 50.0), (24.0, 50.0), (290.0, 3.0)], ["wm 4°", "wm 8°", "fa"], (300.0, 190.0)
    taken = [(x - 5, x + 5, y - 5, y + 5) for x, y in points]
    placed = place_labels(points, labels, taken, size)
    boxes = [one.box(x, y, label) for one, (x, y), label in zip(placed, points, labels, strict=True)]
    for number, (left, right, top, bottom) in enumerate(boxes):
        assert left >= 0 and right <= 300 and top >= 0
        for other in [*taken, *boxes[:number]]:
            assert right <= other[0] or left >= other[1] or bottom <= other[2] or top >= other[3]
    assert place_labels([(150.0, 90.0)], ["kp"], [(0.0, 300.0, 0.0, 190.0)], size) == [PLACEMENTS[0]]  # nowhere free
