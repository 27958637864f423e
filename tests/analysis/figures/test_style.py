"""Layout of figures with many or coinciding cells, and their size in print."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from analysis.figures.alignment import alignment_chart
from analysis.figures.angle_depth import angle_depth_chart
from analysis.figures.angle_map import angle_map_chart
from analysis.figures.best_settings import best_settings_chart
from analysis.figures.curves import curves_chart
from analysis.figures.style.legend import cell_legend
from analysis.figures.style.theme import PIXELS, RULE_COLORS, cell_styles, rule_colors, save, vega_lite_spec
from analysis.figures.transfer import SIZES
from analysis.figures.tuning import tuning_chart
from analysis.stats.trials import choice_values
from analysis.text.formatting import angle
from analysis.text.study import OUTPUT_ANGLE
from nowt.config.run_config import RunConfig
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study
from tests.support.synthetic_frames import frames_of, text_of, trials_of
from tests.support.synthetic_search import search_space
from tests.support.synthetic_store import rules_study


def many(names: list[str], each: int) -> Study:
    """Return a study with this number of cells per rule."""
    cells = [
        Cell(f"{name} trial {i}", RunConfig(rule=find_rule(name)(), batch=10 + i, epochs=2))
        for name in names
        for i in range(each)
    ]
    return Study("many", "Which?", tuple(cells), (0, 1, 2), cells[0].name)


def marks_of(spec: Any, kind: str) -> list[dict[str, Any]]:
    """The marks of one kind in a figure's specification."""
    if isinstance(spec, list):
        return [mark for part in spec for mark in marks_of(part, kind)]
    if not isinstance(spec, dict):
        return []
    own = [spec["mark"]] if isinstance(spec.get("mark"), dict) and spec["mark"]["type"] == kind else []
    return own + [mark for part in spec.values() for mark in marks_of(part, kind)]


def test_the_axis_keeps_its_title_if_a_bar_is_clipped(tmp_path: Path) -> None:
    wide = {0: 0.1, 1: 0.1, 2: 0.9}
    frames = frames_of(tmp_path, rules_study(names=["bp", "kp"], epochs=2), error=lambda cell, seed, epoch: wide[seed])
    words = text_of(curves_chart(frames))
    assert "triangle: the bar extends beyond the axis" in words
    assert "Test error after the last epoch (%" in words


def test_cells_of_one_rule_differ_in_color_and_shape() -> None:
    for rule in ("bp", "kp"):
        styles = cell_styles({f"{rule} {i}": rule for i in range(4)}).values()
        assert len({style.color for style in styles}) == len({style.shape for style in styles}) == 4
        parts = sorted(sum(int(style.color[i : i + 2], 16) for i in (1, 3, 5)) for style in styles)
        assert min(b - a for a, b in pairwise(parts)) > 60


def test_curves_of_many_cells_have_one_panel_per_rule(tmp_path: Path) -> None:
    frames = frames_of(tmp_path, many(["bp", "fa", "kp"], 3))
    chart = curves_chart(frames)
    assert [panel["layer"][-1]["mark"]["type"] for panel in vega_lite_spec(chart)["vconcat"][0]["concat"]] == [
        "text"
    ] * 3
    words = text_of(chart)
    assert "tiny_resnet" not in words and "no band" not in words and "band and bar" in words


def test_panels_with_many_lines_have_no_bands_and_the_caption_says_so(tmp_path: Path) -> None:
    chart = curves_chart(frames_of(tmp_path, many(["kp"], 7)))
    assert "no bands in panels with more than 6 lines" in text_of(chart)
    assert not marks_of(vega_lite_spec(chart), "area")


def test_alignment_figures_of_many_cells_show_the_first_of_each_rule_and_say_so(tmp_path: Path) -> None:
    frames = frames_of(tmp_path, many(["fa", "ss", "kp"], 3))
    for chart in (alignment_chart(frames), angle_map_chart(frames), angle_depth_chart(frames)):
        words = text_of(chart)
        assert "the first 2 cells of each rule; 3 others not shown" in words
        assert "kp trial 1" in words and "kp trial 2" not in words


def test_legends_with_short_labels_have_more_columns() -> None:
    assert cell_legend({str(i): f"wm trial {i}" for i in range(10, 26)}).columns == 3
    assert cell_legend({str(i): f"wm with custom noise, trial {i}" for i in range(10, 26)}).columns == 1


def test_the_output_layers_delta_angle_is_explained_and_omitted_by_depth(tmp_path: Path) -> None:
    frames = frames_of(tmp_path)
    output = frames.layers["depth"] == frames.layers["depth"].max()
    layers = frames.layers.assign(delta_angle=frames.layers["delta_angle"].mask(output, 0.0))
    frames = replace(frames, layers=layers)
    for chart in (alignment_chart(frames), angle_map_chart(frames), angle_depth_chart(frames)):
        assert OUTPUT_ANGLE in text_of(chart)
    data = vega_lite_spec(angle_depth_chart(frames))["datasets"].values()
    deepest = sorted(max(row["layer_number"] for row in rows) for rows in data)
    assert deepest == [2, 3]  # δ angles and matrix angles, of three layers


def test_coinciding_tuning_curves_differ_in_width_and_are_step_functions(tmp_path: Path) -> None:
    trials = trials_of(tmp_path, search_space(["bp", "wm"]), error=lambda cell, trial, values: 0.1)
    lines = marks_of(vega_lite_spec(tuning_chart(trials)), "line")
    assert all(line["interpolate"] == "step-after" for line in lines)
    assert lines[0]["strokeWidth"] > lines[1]["strokeWidth"] + 1


def test_marks_of_transferred_settings_with_equal_error_are_nested() -> None:
    assert SIZES["best"] > 3 * SIZES["second"] > 9 * SIZES["third"]


def test_settings_with_choices_are_drawn_like_settings_with_ranges(tmp_path: Path) -> None:
    errors = [0.3, 0.1, 0.2]
    trials = trials_of(tmp_path, search_space(["wm"]), 3, error=lambda cell, trial, values: errors[trial])
    chosen = choice_values(trials)
    schedules = chosen[chosen["setting"] == "optim.schedule"].set_index("rank")
    assert schedules.loc[1, "value"] == trials.frame.set_index("trial").loc[1, "optim.schedule"]
    words = text_of(best_settings_chart(trials))
    assert all(
        word in words for word in ("optim.schedule", "cosine", "step", "optim.lr", "the position within a choice")
    )


def test_a_png_has_the_width_of_a_column_in_print_and_four_times_the_pixels_of_the_svg(tmp_path: Path) -> None:
    png, svg = save(vega_lite_spec(curves_chart(frames_of(tmp_path))), tmp_path / "curves")
    width = float(ElementTree.parse(svg).getroot().attrib["width"])
    with Image.open(png) as image:
        assert image.width == pytest.approx(PIXELS * width, abs=PIXELS)
        assert 2.5 < image.width / image.info["dpi"][0] < 3.5  # inches


@pytest.mark.parametrize(("degrees", "written"), [(3.7e-7, "0.0"), (0.0, "0.0"), (0.052, "0.052"), (12.34, "12.3")])
def test_an_angle_below_single_precision_is_written_as_zero(degrees: float, written: str) -> None:
    assert angle(degrees) == written


def test_a_rule_has_the_same_color_in_every_study_and_its_cells_differ() -> None:
    styles = cell_styles({"bp": "bp", "wm 1": "wm", "wm 2": "wm", "wm 3": "wm", "mine": "./lab/pal.py"})
    assert styles["bp"].color == RULE_COLORS["bp"]
    assert styles["wm 1"].color == RULE_COLORS["wm"]
    looks = {(style.color, tuple(style.dash)) for style in styles.values()}
    assert len(looks) == len(styles)
    alone, beside_others = rule_colors({"./lab/pal.py"}), rule_colors({"./lab/pal.py", "kp", "bp"})
    assert alone["./lab/pal.py"] == beside_others["./lab/pal.py"] == styles["mine"].color
