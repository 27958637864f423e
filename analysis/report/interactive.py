"""A figure for the web page: what is under the pointer is told, cells can be hidden, and axes zoomed.

Works on any figure's Vega-Lite specification, so that a figure is drawn once and its file says nothing of the page.
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
    "zoom": "wheel![event.ctrlKey || event.shiftKey]",  # a plain wheel scrolls the page
}

CONTINUOUS = ("quantitative", "temporal")


def interactive(figure: Spec) -> tuple[Spec, dict[str, Spec]]:
    """The figure's specification, with a parameter ``hidden`` (a list of cells), and its data as columns by name."""
    data: dict[str, list[Spec]] = figure.get("datasets", {})
    spec = deepcopy({name: part for name, part in figure.items() if name != "datasets"})
    for node in _nodes(spec):
        _hide(node, data)
        _tell(node)
    for number, node in enumerate(_views(spec)):
        _zoom(node, f"zoom{number}")
    spec["params"] = [*spec.get("params", []), {"name": "hidden", "value": []}]
    return spec, {name: columns(rows) for name, rows in data.items()}


def columns(rows: list[Spec]) -> Spec:
    """Rows as columns: a text is a place in a list of the texts there are, a number has as many digits as are seen."""
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
    """The specification and all that it is composed of."""
    yield spec
    below = [child for kind in CHILDREN for child in spec.get(kind, [])]
    for child in [*below, *([spec["spec"]] if "spec" in spec else [])]:
        yield from _nodes(child)


def _views(spec: Spec) -> Iterator[Spec]:
    """The plots: a mark, or marks on top of each other."""
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


def _tell(node: Spec) -> None:
    """Marks tell their numbers; a line does so at each of its points."""
    if "mark" not in node:
        return
    mark = node["mark"] if isinstance(node["mark"], dict) else {"type": node["mark"]}
    # A zoomed line ends at the plot's edge; a panel's heading stands beyond it.
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
        }  # filled, they change the legend


def _zoom(view: Spec, name: str) -> None:
    """Dragging moves the axes, the wheel with Ctrl or Shift zooms them, a double click sets them back."""
    plots = [node for node in _nodes(view) if "mark" in node]
    for plot in plots:
        encoding = plot.get("encoding", {}) | view.get("encoding", {})
        axes = [channel for channel in ("x", "y") if encoding.get(channel, {}).get("type") in CONTINUOUS]
        if axes:
            plot["params"] = [{"name": name, "select": {**ZOOM, "encodings": axes}, "bind": "scales"}]
            return
