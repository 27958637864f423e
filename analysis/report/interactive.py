"""Makes a figure interactive for the HTML page: tooltips, hidden cells, zoom.

This transforms the Vega-Lite specification of any figure, so that figures need no code for the page.
"""

import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

Spec = dict[str, Any]

CHILDREN = ("layer", "hconcat", "vconcat", "concat")

HIDDEN = "indexof(hidden, datum.cell) < 0 && indexof(hidden, datum.source) < 0"

DIGITS = 5

ZOOM = {
    "type": "interval",
    "translate": "[pointerdown, window:pointerup] > window:pointermove!",
    "zoom": "wheel![event.ctrlKey || event.shiftKey]",  # the wheel alone scrolls the page
}

CONTINUOUS = ("quantitative", "temporal")


def make_interactive(figure: Spec) -> tuple[Spec, dict[str, Spec]]:
    """Return the specification with a parameter ``hidden`` (a list of cells), and the data sets as columns."""
    data: dict[str, list[Spec]] = figure.get("datasets", {})
    spec = deepcopy({name: part for name, part in figure.items() if name != "datasets"})
    for node in _nodes(spec):
        _hide(node, data)
        _add_tooltip(node)
    for number, node in enumerate(_views(spec)):
        _zoom(node, f"zoom{number}")
    spec["params"] = [*spec.get("params", []), {"name": "hidden", "value": []}]
    return spec, {name: to_columns(rows) for name, rows in data.items()}


def to_columns(rows: list[Spec]) -> Spec:
    """Convert rows to columns, with indexed text and numbers rounded to DIGITS digits, to reduce their size."""
    packed = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        if all(isinstance(value, str) for value in values):
            texts = list(dict.fromkeys(values))
            places = {text: place for place, text in enumerate(texts)}
            packed[name] = {"texts": texts, "at": [places[value] for value in values]}
        else:
            packed[name] = {"values": [_short(value) for value in values]}
    return {"length": len(rows), "columns": packed}


def _short(value: Any) -> Any:
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _nodes(spec: Spec) -> Iterator[Spec]:
    """Yield the specification and all nested ones."""
    yield spec
    below = [child for kind in CHILDREN for child in spec.get(kind, [])]
    for child in [*below, *([spec["spec"]] if "spec" in spec else [])]:
        yield from _nodes(child)


def _views(spec: Spec) -> Iterator[Spec]:
    """Yield the plots: single marks or layers."""
    if "mark" in spec or "layer" in spec:
        yield spec
    else:
        below = [child for kind in CHILDREN for child in spec.get(kind, [])]
        for child in [*below, *([spec["spec"]] if "spec" in spec else [])]:
            yield from _views(child)


def _hide(node: Spec, data: dict[str, list[Spec]]) -> None:
    name = node.get("data", {}).get("name")
    if any({"cell", "source"} & row.keys() for row in data.get(name, [])[:1]):
        node["transform"] = [{"filter": HIDDEN}, *node.get("transform", [])]


def _add_tooltip(node: Spec) -> None:
    """Add tooltips to marks, and to each point of a line."""
    if "mark" not in node:
        return
    mark = node["mark"] if isinstance(node["mark"], dict) else {"type": node["mark"]}
    # Zoomed lines are clipped at the plot's edge; a panel's heading lies outside it.
    node["mark"] = mark = {**mark, "clip": mark["type"] != "text"}
    if mark["type"] == "text":
        return
    if mark["type"] not in ("area", "trail"):
        mark["tooltip"] = True
    if mark["type"] == "line":
        mark["point"] = {
            "opacity": 0,
            "size": 60,
            "filled": False,
            "fill": "transparent",
        }  # filled points would change the legend


def _zoom(view: Spec, name: str) -> None:
    """Pan by dragging, zoom with Ctrl or Shift and the wheel, reset with a double click."""
    plots = [node for node in _nodes(view) if "mark" in node]
    for plot in plots:
        encoding = plot.get("encoding", {}) | view.get("encoding", {})
        axes = [channel for channel in ("x", "y") if encoding.get(channel, {}).get("type") in CONTINUOUS]
        if axes:
            plot["params"] = [{"name": name, "select": {**ZOOM, "encodings": axes}, "bind": "scales"}]
            return
