"""The names of custom rules: a study file contains their files, and the logs the names that they give themselves."""

from collections.abc import Iterable, Mapping
from typing import Any

from nowt.store.records import rule_label

Cells = Mapping[str, dict[str, Any]]


def with_rule_names(cells: Cells, starts: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the configs of cells with custom rules as ``name (file)``, given the start lines of the cells' logs."""
    names = {cells[cell]["rule"]["name"]: str(start.get("rule_name", "")) for cell, start in starts if start}

    def labelled(rule: dict[str, Any]) -> dict[str, Any]:
        return {**rule, "name": rule_label(names.get(rule["name"], ""), rule["name"])}

    return {cell: {**config, "rule": labelled(config["rule"])} for cell, config in cells.items()}
