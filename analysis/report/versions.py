"""Sentences about the versions with which a study's runs were trained, if they differ between runs or attempts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from nowt.core.formatting import counted
from nowt.store.files import read_plain_file
from nowt.store.layout import Store
from nowt.store.records import RunLog
from nowt.store.run_log import read, read_start

SHOWN = 5  # runs that are named


def version_notes(store: Path, keys: Sequence[str]) -> list[str]:
    """Return one sentence for each package whose version differs between the runs, and one for the runs that were
    resumed with other versions, another commit or other facts."""
    paths = [path for key in dict.fromkeys(keys) if (path := Store(store).log(key)).is_file()]
    versions: dict[str, Counter[str]] = {}
    for start in map(read_start, paths):
        for name, version in start.get("versions", {}).items():
            versions.setdefault(name, Counter())[version] += 1
    return [*_differences(versions), *_resumed(paths)]


def _differences(versions: dict[str, Counter[str]]) -> Iterator[str]:
    for name, counts in versions.items():
        if len(counts) > 1:
            each = ", ".join(f"{version} ({counted(n, 'run')})" for version, n in counts.most_common())
            yield f"Runs were started with different versions of {name}: {each}."


def _resumed(paths: Sequence[Path]) -> Iterator[str]:
    runs = [run for path in paths if _has_changes(path) for run in _readable(path) if run.changes]
    if runs:
        named = "; ".join(f"run {run.key}, {', '.join(run.changes)}" for run in runs[:SHOWN])
        more = f"; and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
        yield f"Resumed with other code or packages than at their start: {named}{more}."


def _readable(path: Path) -> Iterator[RunLog]:
    """Yield the run unless its log is invalid, which the report says elsewhere."""
    with suppress(ValueError):
        yield read(path)


def _has_changes(path: Path) -> bool:
    """Return whether an attempt recorded changes; most logs need not be parsed."""
    return b'"changed": {' in read_plain_file(path)
