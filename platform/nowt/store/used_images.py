"""Which images the runs of a study used. Results average runs on the same images only.

A run's digest of its images is the fingerprint that they have with the fixed validation split, whichever split the run
used. So it is the same for all seeds, and logs of earlier versions, which do not state it, have it if their split was
fixed. Cells with other data settings may use other images.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nowt.core.formatting import counted

SHORT = 8  # digits of a digest in messages

SHOWN = 3  # cells that are named

LISTED = 8  # seeds that are named; of more, only the range is


@dataclass(frozen=True)
class CountedRun:
    """A run that counts in a study, and has a log."""

    cell: str
    number: int  # its seed; in a search, its trial
    start: Mapping[str, Any]  # the start line of its log
    store: str = ""  # that has the log, as messages call it


ByImages = Mapping[str, Sequence[CountedRun]]  # runs by the digest of their images


def images_digest(start: Mapping[str, Any]) -> str:
    """Return the digest of a run's images without their split; empty if the log of an earlier version lacks it."""
    recorded = start.get("images", "" if _split(start) == "by_seed" else start.get("fingerprint", ""))
    return str(recorded)


def runs_by_images(runs: Sequence[CountedRun]) -> ByImages:
    """Return the runs of a study by their images if some have equal data settings, but other images; of these settings,
    all runs. Otherwise, return an empty mapping."""
    started = [run for run in runs if _settings(run.start)]
    settings = [set(_settings(run.start)) for run in started]
    known = set.intersection(*settings) if settings else set()  # an earlier version did not have all of them
    groups: dict[object, dict[str, list[CountedRun]]] = {}
    for run in started:
        for comparable, digest in _digests(run.start, known):
            groups.setdefault(comparable, {}).setdefault(digest, []).append(run)
    return next((by_images for by_images in groups.values() if len(by_images) > 1), {})


def describe_images(found: ByImages, number: str) -> str:
    """Return the images with their runs, such as ``images 1f0c… (seed 0) and 9a3b… (seeds 1, 2)``. ``number`` is the
    noun of the runs' numbers, ``seed`` or ``trial``."""
    numbers = [{run.number for run in runs} for runs in found.values()]
    disjoint = sum(map(len, numbers)) == len(set().union(*numbers))
    parts = [f"{digest[:SHORT]} ({_described(runs, number, not disjoint)})" for digest, runs in found.items()]
    return f"images {' and '.join(parts)}"


def _settings(start: Mapping[str, Any]) -> Mapping[str, Any]:
    data: Mapping[str, Any] = start.get("config", {}).get("data", {})
    return data


def _split(start: Mapping[str, Any]) -> str:
    return str(_settings(start).get("split", "fixed"))  # earlier versions had no other


def _digests(start: Mapping[str, Any], known: set[str]) -> Iterator[tuple[object, str]]:
    """Yield each digest that a start line has, after what other runs must share for it to be comparable."""
    settings = json.dumps({name: value for name, value in _settings(start).items() if name in known}, sort_keys=True)
    earlier = "code" not in start  # earlier versions identified images by their names and sizes
    if digest := images_digest(start):
        yield (settings, earlier), digest
    if _split(start) == "by_seed" and "fingerprint" in start:
        yield (settings, earlier, start["config"].get("seed")), str(start["fingerprint"])


def _described(runs: Sequence[CountedRun], number: str, with_cells: bool) -> str:
    stores = list(dict.fromkeys(run.store for run in runs if run.store))
    cells = list(dict.fromkeys(run.cell for run in runs)) if with_cells else [""]
    parts = [_of_cell([run.number for run in runs if cell in ("", run.cell)], cell, number) for cell in cells[:SHOWN]]
    more = [counted(len(cells) - SHOWN, "more cell")] if len(cells) > SHOWN else []
    return ", ".join([*parts, *more]) + (f" in {' and '.join(stores)}" if stores else "")


def _of_cell(numbers: Sequence[int], cell: str, noun: str) -> str:
    """Return the numbers of runs in words."""
    found = sorted(set(numbers))
    listed = ", ".join(map(str, found)) if len(found) <= LISTED else f"{found[0]} to {found[-1]}"
    text = f"{noun}{'s' * (len(found) > 1)} {listed}"
    return f"{cell} {text}" if cell else text
