"""Sentences about the versions with which a study's runs were trained, if they differ between runs or attempts."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nowt.store.layout import Store
from nowt.store.run_log import read

SHOWN = 5  # runs that are named


def version_notes(store: Path, keys: Sequence[str]) -> list[str]:
    """Return one sentence for each package whose version differs between the runs, and one for the runs that were
    resumed with other versions, another commit or other facts."""
    paths = [path for key in dict.fromkeys(keys) if (path := Store(store).log(key)).is_file()]
    versions: dict[str, Counter[str]] = {}
    for start in map(_start, paths):
        for name, version in start.get("versions", {}).items():
            versions.setdefault(name, Counter())[version] += 1
    return [*_differences(versions), *_resumed(paths)]


def _differences(versions: dict[str, Counter[str]]) -> Iterator[str]:
    for name, counts in versions.items():
        if len(counts) > 1:
            each = ", ".join(f"{version} ({n} run{'s' * (n > 1)})" for version, n in counts.most_common())
            yield f"Runs were started with different versions of {name}: {each}."


def _resumed(paths: Sequence[Path]) -> Iterator[str]:
    runs = [run for path in paths if _has_changes(path) for run in [read(path)] if run.changes]
    if runs:
        named = "; ".join(f"run {run.key}, {', '.join(run.changes)}" for run in runs[:SHOWN])
        more = f"; and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
        yield f"Resumed with other code or packages than at their start: {named}{more}."


def _start(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as file:
        line = file.readline()
    found: dict[str, Any] = json.loads(line) if line.endswith("\n") else {}
    return found if found.get("kind") == "start" else {}


def _has_changes(path: Path) -> bool:
    """Return whether an attempt recorded changes; most logs need not be parsed."""
    return b'"changed": {' in path.read_bytes()
