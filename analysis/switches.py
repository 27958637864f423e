"""What a report's web page can switch off: each rule with its cells, or each cell where there is one rule only."""

from collections.abc import Mapping


def switches_of(rules: Mapping[str, str]) -> dict[str, list[str]]:
    """By name, the cells of each rule of ``{cell: rule}``; by cell, where all have one rule."""
    if len(set(rules.values())) < 2:
        return {cell: [cell] for cell in rules}
    switches: dict[str, list[str]] = {}
    for cell, rule in rules.items():
        switches.setdefault(rule, []).append(cell)
    return switches
