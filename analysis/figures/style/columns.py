"""Checks that the columns that a chart encodes exist. Vega-Lite would draw a missing column as nothing, silently."""

from collections.abc import Iterator
from typing import Any

from nowt.core.errors import UserError, did_you_mean

CHILDREN = ("layer", "vconcat", "hconcat", "concat")

UNNAMED = {"pivot", "density", "quantile", "regression", "loess"}  # transforms that name columns by themselves

Columns = set[str] | None  # None: unknown, because the data is not in the specification


def check_columns(spec: dict[str, Any]) -> None:
    """Raise ValueError for the first encoded column that is not in the chart's data and not made by a transform."""
    datasets = {name: {key for row in rows for key in row} for name, rows in spec.get("datasets", {}).items()}
    for field, columns in _encoded(spec, datasets, None):
        if columns and field not in columns:
            raise UserError(
                f"the chart encodes column {field!r}, which is not in its data{did_you_mean(field, columns)}; "
                f"there are: {', '.join(sorted(columns))}"
            )


def _encoded(node: dict[str, Any], datasets: dict[str, set[str]], columns: Columns) -> Iterator[tuple[str, Columns]]:
    """Yield each encoded column of a chart and its parts, with the columns of its data."""
    if "data" in node:
        columns = datasets.get((node["data"] or {}).get("name", ""))
    transforms = node.get("transform", [])
    unnamed = any(UNNAMED & set(transform) for transform in transforms)
    columns = None if columns is None or unnamed else columns | set(_made(transforms))
    channels = {"facet": node.get("facet"), **node.get("encoding", {})}
    for channel in channels.values():
        field = channel.get("field") if isinstance(channel, dict) else None
        if isinstance(field, str) and not set(field) & set(".[\\"):  # such characters name a nested value
            yield field, columns
    for part in [*(child for name in CHILDREN for child in node.get(name, [])), *filter(None, [node.get("spec")])]:
        yield from _encoded(part, datasets, columns)


def _made(transforms: Any) -> Iterator[str]:
    """Yield every name that transforms give to new columns (``as``, at any depth)."""
    for item in transforms if isinstance(transforms, list) else transforms.values():
        if isinstance(item, dict):
            names = item.get("as", ["key", "value"] if "fold" in item else [])
            yield from [names] if isinstance(names, str) else names
        if isinstance(item, dict | list):
            yield from _made(item)
