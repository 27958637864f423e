"""Aggregates of angles: undefined where a member is undefined, and without the output layer's δ angle."""

import math
from dataclasses import replace
from typing import Any

import pytest

from analysis.figures.alignment import alignment_chart
from analysis.figures.angle_error import angle_error_chart
from analysis.figures.angle_map import angle_map_chart
from analysis.figures.norm_ratio import norm_ratio_chart
from analysis.figures.style.theme import vega_lite_spec
from analysis.frames.study import Frames
from analysis.stats.layers import angles_and_errors, final_angles, layer_means
from tests.support.synthetic_frames import frames_in, text_of
from tests.support.synthetic_store import write_store


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Five rules, three seeds, ten epochs; one run of fa diverged in its fifth epoch."""
    store = tmp_path_factory.mktemp("store")
    write_store(store, diverged={("fa", 2): 4})
    return frames_in(store)


def without(frames: Frames, where: str, *names: str) -> Frames:
    """Return the frames with undefined angles in the layers that ``where`` selects."""
    layers = frames.layers.copy()
    layers.loc[layers.eval(where), list(names)] = math.nan
    return replace(frames, layers=layers)


def dead(frames: Frames) -> Frames:
    """Return the frames with a run of kp whose hidden layers received no error signal after epoch 3."""
    return without(frames, "cell == 'kp' and seed == 1 and epoch > 3 and depth < 7", "delta_angle")


def drawn(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in vega_lite_spec(chart)["datasets"].values() for row in rows]


def test_angles_are_the_median_over_layers_and_the_mean_over_finished_runs(frames: Frames) -> None:
    found = final_angles(frames).set_index("cell")["matrix_angle"]
    assert "bp" not in found
    last = frames.layers.query("epoch == 10 and cell == 'fa' and seed in (0, 1)")  # seed 2 diverged
    assert found["fa"] == pytest.approx(last.groupby("seed")["matrix_angle"].median().mean())
    means = layer_means(frames).query("cell == 'kp' and epoch == 4 and layer == 'layer2'")
    runs = frames.layers.query("cell == 'kp' and epoch == 4 and layer == 'layer2'")
    assert means["delta_angle"].item() == pytest.approx(runs["delta_angle"].mean())


def test_an_angle_that_is_undefined_in_a_layer_of_a_run_has_no_median_and_no_mean(frames: Frames) -> None:
    holed = without(frames, "cell == 'kp' and seed == 1 and epoch == 10 and depth == 0", "matrix_angle")
    assert math.isnan(final_angles(holed).set_index("cell")["matrix_angle"]["kp"])
    assert final_angles(holed).set_index("cell")["matrix_angle"]["wm"] < 10


def test_a_dead_network_has_no_delta_angle(frames: Frames) -> None:
    runs = angles_and_errors(dead(frames), "test").set_index(["cell", "seed"])["delta_angle"]
    assert math.isnan(runs["kp", 1]) and runs["kp", 0] > 0
    means = layer_means(dead(frames)).query("cell == 'kp' and epoch == 10")
    assert means["delta_angle"].isna().all()


def test_the_output_layers_delta_angle_enters_no_aggregate(frames: Frames) -> None:
    assert layer_means(frames).query("depth == 7")["delta_angle"].isna().all()
    runs = angles_and_errors(frames, "test").set_index(["cell", "seed"])["delta_angle"]
    inner = frames.layers.query("cell == 'kp' and seed == 0 and epoch == 10 and depth < 7")
    assert runs["kp", 0] == pytest.approx(inner["delta_angle"].median())


def test_a_layer_that_the_error_reaches_without_feedback_enters_no_aggregate(frames: Frames) -> None:
    layers = frames.layers.copy()
    layers["through_feedback"] = layers["depth"] < 6  # as where the last layers use backprop
    layers.loc[layers["depth"] == 6, "delta_angle"] = 0.0
    found = replace(frames, layers=layers)
    assert layer_means(found).query("depth >= 6")["delta_angle"].isna().all()
    runs = angles_and_errors(found, "test").set_index(["cell", "seed"])["delta_angle"]
    inner = layers.query("cell == 'kp' and seed == 0 and epoch == 10 and depth < 6")
    assert runs["kp", 0] == pytest.approx(inner["delta_angle"].median())


def test_figures_of_a_dead_network_show_no_angle_of_0(frames: Frames) -> None:
    for chart in (alignment_chart(dead(frames)), angle_map_chart(dead(frames))):
        late = [row for row in drawn(chart) if row.get("cell") == "kp" and row.get("epoch", 0) > 3]
        deltas = [row["angle"] for row in late if "δ" in row.get("panel", "δ") and row["angle"] is not None]
        assert late and 0.0 not in deltas
    assert "an angle of 1 run is undefined and not shown" in text_of(angle_error_chart(dead(frames)))


def test_a_line_breaks_where_a_run_has_no_value(frames: Frames) -> None:
    holed = without(frames, "cell == 'kp' and seed == 1 and epoch == 5 and depth == 2", "matrix_angle", "norm_ratio")
    for chart, name in ((alignment_chart(holed), "angle"), (norm_ratio_chart(holed), "norm_ratio")):
        rows = [row for row in drawn(chart) if row.get("cell") == "kp" and row.get("layer") == "layer2"]
        matrix = [row for row in rows if "matrix" in row.get("panel", "matrix")]
        missing = {row["epoch"] for row in matrix if row[name] is None}
        assert len(matrix) == 11 and missing == {5}
        assert "a line breaks where" in text_of(chart)
