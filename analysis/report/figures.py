"""The figures of a study's report, in order, and the cells that its HTML page can hide."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from analysis.figures.alignment import alignment_chart
from analysis.figures.angle_depth import angle_depth_chart
from analysis.figures.angle_error import angle_error_chart
from analysis.figures.angle_map import angle_map_chart
from analysis.figures.curves import COST_NAMES, curves_chart
from analysis.figures.depth_gap import depth_gap_chart
from analysis.figures.error_cost import error_cost_chart
from analysis.figures.gap_angle import gap_angle_chart
from analysis.figures.norm_ratio import norm_ratio_chart
from analysis.figures.options import Options
from analysis.figures.published import published_styles
from analysis.figures.transfer import transfer_chart
from analysis.frames.study import Frames
from analysis.report.content import Figure

CHARTS: dict[str, tuple[str, Callable[[Frames], Any]]] = {
    "angle_depth": ("Final angle by layer", angle_depth_chart),
    "angle_map": ("Alignment over layers and epochs", angle_map_chart),
    "norm_ratio": ("Relative norm of the feedback weights", norm_ratio_chart),
    "angle_error": ("Alignment and error", angle_error_chart),
    "gap_angle": ("Gap in error and alignment", gap_angle_chart),
    "depth_gap": ("Gap to backprop by depth", depth_gap_chart),
    "transfer": ("Transfer of settings", transfer_chart),
    "error_cost": ("Error against cost", error_cost_chart),
}


def figures_of(frames: Frames, options: Options) -> Iterator[Figure]:
    """Yield each figure; its chart is None if it has nothing to show."""
    yield Figure("curves", f"Error by {COST_NAMES[options.against]}", curves_chart(frames, options))
    yield Figure("alignment", "Alignment by layer and epoch", alignment_chart(frames, options))
    for name, (caption, chart) in CHARTS.items():
        yield Figure(name, caption, chart(frames))


def study_switches(frames: Frames, options: Options) -> dict[str, list[str]]:
    """Return the switches of the HTML page: rules (cells, if there is only one rule) and published lines."""
    rules = {cell: str(config["rule"]["name"]) for cell, config in frames.study.cells.items()}
    return switches_of(rules) | ({line: [line] for line in published_styles()} if options.published else {})


def switches_of(rules: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the cells of each rule, given ``{cell: rule}``; each cell by itself if there is only one rule."""
    if len(set(rules.values())) < 2:
        return {cell: [cell] for cell in rules}
    switches: dict[str, list[str]] = {}
    for cell, rule in rules.items():
        switches.setdefault(rule, []).append(cell)
    return switches
