"""The seeds in ``nowt plan``: how many are needed to detect a gap, or which gap the study's own seeds can detect."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nowt.config.run_config import config_to_json
from nowt.core.errors import require
from nowt.core.formatting import counted
from nowt.store.chance import has_learned
from nowt.store.layout import Store
from nowt.store.records import RunLog, chance_error
from nowt.store.run_log import read
from nowt.store.study_file import StudyFile, read_study_files
from nowt.studies.planning.power import (
    ALPHA,
    MAX_SEEDS,
    POWER,
    equivalence_power,
    largest_deviation,
    required_seeds,
    smallest_ratio,
)
from nowt.studies.study import Cell, Study

Config = Mapping[str, Any]


@dataclass(frozen=True)
class EarlierDeviation:
    """The standard deviation of one cell's gap to the reference, from an earlier study."""

    deviation: float  # of the gap over seeds, percentage points
    pairs: int  # seeds that both cells finished
    study: str  # its key


@dataclass(frozen=True)
class TargetGap:
    """The gap that a study must detect, or equality within it. Raises ConfigError for values out of range."""

    gap: float | None = None  # percentage points
    deviation: float | None = None  # of the gap over seeds, percentage points; None: from earlier runs
    true_gap: float = 0.0  # at which equality within ``gap`` is to be shown, percentage points

    def __post_init__(self) -> None:
        for name, value in (("gap", self.gap), ("deviation", self.deviation)):
            ok = value is None or 0 < value <= 100  # which nan is not
            require(ok, f"--{name} is {value}: it must be above 0 and at most 100 points")
        if self.deviation is not None:
            require(self.gap is not None, "--deviation needs --gap POINTS")
        require(self.true_gap == 0 or self.gap is not None, "--true-gap needs --gap POINTS")
        within = f"--true-gap is {self.true_gap}: it must be at least 0 and below --gap, {self.gap or 0:g}"
        require(0 <= self.true_gap < (self.gap or 1), within)


def seed_count_lines(study: Study, store: Path, target: TargetGap) -> list[str]:
    """Return the number of seeds that the gap needs, per cell; without a gap, the gap that the study's seeds detect."""
    others = [cell.name for cell in study.cells if cell.name != study.reference]
    if len(others) == len(study.cells) or not others:
        line = "--gap has no effect: the study has no cell to compare with its reference"
        return [line] if target.gap is not None else []
    alpha = ALPHA / len(others)
    known = {} if target.deviation is not None else earlier_deviations(store, study)
    if target.gap is None:
        return [_detectable(len(study.seeds), alpha, len(others)), *_detectable_points(known, len(study.seeds), alpha)]
    head = f"Seeds for a gap of {counted(f'{target.gap:g}', 'point')} to {study.reference} ({_test(len(others))}):"
    if target.deviation is not None:
        given = EarlierDeviation(target.deviation, 0, "")
        alike = [[name for name in others if (name in _claimed(study)) is claimed] for claimed in (True, False)]
        lines = [(names, _required(target, given, alpha, names[0] in _claimed(study))) for names in alike if names]
        listed = [f"  {', '.join(names)}: {line}" for names, line in lines]
        return [head, *listed, *_together(study, dict.fromkeys(others, given), target)]
    listed = [f"  {name}: {_line(target, known.get(name), alpha, name in _claimed(study))}" for name in others]
    return [head, *listed, *_together(study, known, target)]


def _claimed(study: Study) -> Sequence[str]:
    """Return the cells of the study's claim, whose equivalence is tested without a correction for their number."""
    return study.claim.cells if study.claim is not None else ()


def _test(comparisons: int) -> str:
    holm = f", over {comparisons} comparisons by Holm's strictest step" if comparisons > 1 else ""
    each = " per cell" if comparisons > 1 else ""
    return f"paired t test at α = {ALPHA:g}{holm}, power {100 * POWER:g} %{each}"


def _detectable(seeds: int, alpha: float, comparisons: int) -> str:
    if seeds < 3:
        few = "one seed gives" if seeds == 1 else f"{seeds} seeds give"
        return f"Seeds: {few} no interval and no test; use at least three. --gap POINTS prints the number for a gap."
    ratio = smallest_ratio(seeds, alpha)
    return (
        f"Seeds: {seeds} detect a gap {ratio:.1f} times as large as its deviation over seeds ({_test(comparisons)}). "
        "--gap POINTS prints the number of seeds for a gap."
    )


def _detectable_points(known: dict[str, EarlierDeviation], seeds: int, alpha: float) -> Sequence[str]:
    if seeds < 3:
        return []
    ratio = smallest_ratio(seeds, alpha)
    return [
        f"  {name}: {counted(f'{ratio * one.deviation:.3g}', 'point')} ({_source(one)})" for name, one in known.items()
    ]


def _line(target: TargetGap, known: EarlierDeviation | None, alpha: float, claimed: bool) -> str:
    if known is None:
        return "unknown: no earlier runs with this rule, model, data and epochs learned; give --deviation POINTS"
    if known.deviation == 0:
        return f"unknown: the gap was the same with every seed ({_source(known)}); give --deviation POINTS"
    most = largest_deviation(known.deviation, known.pairs)
    find, show = _seeds(target, most, alpha, claimed)
    worst = f"then {find} to detect it, {show} to show equality"
    return f"{_required(target, known, alpha, claimed)}. It may be as large as {most:.3g}: {worst}"


def _required(target: TargetGap, one: EarlierDeviation, alpha: float, claimed: bool) -> str:
    """Return the numbers of seeds for the deviation ``one``, and where it is from."""
    find, show = _seeds(target, one.deviation, alpha, claimed)
    at = " as the study claims" if claimed else ""
    at += f" at a true gap of {counted(f'{target.true_gap:g}', 'point')}" if target.true_gap else ""
    return f"{find} to detect it, {show} to show equality within it{at} ({_source(one)})"


def _seeds(target: TargetGap, deviation: float, alpha: float, claimed: bool) -> tuple[str, str]:
    """Return the number of seeds to detect the gap, and to show equality within it at the true gap."""
    find = required_seeds((target.gap or 0) / deviation, alpha)
    return _count(find), _count(_for_equality(target, deviation, ALPHA if claimed else alpha))


def _for_equality(target: TargetGap, deviation: float, alpha: float, power: float = POWER) -> int | None:
    gap = target.gap or 0
    chance = partial(equivalence_power, true_share=target.true_gap / gap)
    return required_seeds(gap / deviation, alpha, power, chance)


def _together(study: Study, known: Mapping[str, EarlierDeviation], target: TargetGap) -> list[str]:
    """Return a line with the number of seeds that shows all cells of the claim together; none for a single cell.

    With k cells, each must fail in at most 1/k of the studies in which one may fail, however the cells are correlated.
    """
    cells = _claimed(study)
    if len(cells) < 2:
        return []
    head = f"  {', '.join(cells[:-1])} and {cells[-1]} together, with power {100 * POWER:g} %:"
    lacking = [name for name in cells if name not in known or known[name].deviation == 0]
    if lacking:
        return [f"{head} unknown without the deviation of {', '.join(lacking)}"]
    power = 1 - (1 - POWER) / len(cells)
    seeds = [_for_equality(target, known[name].deviation, ALPHA, power) for name in cells]
    most = None if None in seeds else max(filter(None, seeds))
    return [f"{head} {_count(most)}, since each cell then has a power of {100 * power:.3g} % or more"]


def _count(seeds: int | None) -> str:
    return f"more than {MAX_SEEDS} seeds" if seeds is None else f"{max(seeds, 3)} seeds"


def _source(one: EarlierDeviation) -> str:
    source = f", from {one.pairs} pairs of {one.study}" if one.study else ""
    return f"deviation {counted(f'{one.deviation:.3g}', 'point')}{source}"


def earlier_deviations(store: Path, study: Study) -> dict[str, EarlierDeviation]:
    """Return the standard deviation of each cell's gap to the reference, from the newest comparable study in ``store``:
    one with the same rules, model, data and epochs, and two or more seeds of both with which not both ended at chance.
    Cells without such a study are omitted."""
    study_files = [study_file for study_file in reversed(read_study_files(store)) if not study_file.is_search]
    reference = next((cell for cell in study.cells if cell.name == study.reference), None)
    found = {}
    for cell in study.cells:
        if reference is not None and cell is not reference:
            known = (_earlier(store, study_file, cell, reference) for study_file in study_files)
            if first := next((one for one in known if one is not None), None):
                found[cell.name] = first
    return found


def _earlier(store: Path, study_file: StudyFile, cell: Cell, reference: Cell) -> EarlierDeviation | None:
    base = _matching_cell(study_file, config_to_json(reference.config))
    other = _matching_cell(study_file, config_to_json(cell.config), exclude=base)
    gaps = list(_gaps(_logs(store, study_file, other), _logs(store, study_file, base)))
    return EarlierDeviation(statistics.stdev(gaps), len(gaps), study_file.key) if len(gaps) > 1 else None


def _matching_cell(study_file: StudyFile, wanted: Config, exclude: str = "") -> str:
    """Return the cell with config ``wanted``; otherwise the first with its rule, net, data and epochs; otherwise
    ``""``."""
    cells = {cell["name"]: cell["config"] for cell in study_file.cells if cell["name"] != exclude}
    same = [name for name, config in cells.items() if {**config, "seed": 0} == {**wanted, "seed": 0}]
    similar = [name for name, config in cells.items() if _kind(config) == _kind(wanted)]
    return next(iter([*same, *similar]), "")


def _kind(config: Config) -> tuple[Any, ...]:
    return config["rule"]["name"], config["model"], config["data"], config["epochs"], config["seeds"]


def _logs(store: Path, study_file: StudyFile, cell: str) -> dict[int, RunLog]:
    """Return the finished and diverged runs of a cell, by seed."""
    paths = {run.seed: Store(store).log(run.key) for run in study_file.runs if run.cell == cell}
    logs = {seed: read(path) for seed, path in paths.items() if path.exists()}
    return {seed: log for seed, log in logs.items() if log.state in ("finished", "diverged")}


def _gaps(logs: Mapping[int, RunLog], base: Mapping[int, RunLog]) -> Iterator[float]:
    """Yield the gaps of the seeds that both cells have, except where both ended at chance."""
    for seed in sorted(logs.keys() & base.keys()):
        pair = (logs[seed], base[seed])
        split = "test" if all(map(_has_test_error, pair)) else "val"
        if not any(has_learned(log, split) for log in pair):
            continue  # the deviation of guesses
        yield 100 * (_final(logs[seed], split) - _final(base[seed], split))


def _has_test_error(log: RunLog) -> bool:
    return log.state == "diverged" or log.epochs[-1].test_error == log.epochs[-1].test_error  # which nan is not


def _final(log: RunLog, split: str) -> float:
    """Return the error after the last epoch, from 0 to 1; chance error for a diverged run."""
    if log.state == "diverged":
        return chance_error(log.start["classes"])
    return float(getattr(log.epochs[-1], f"{split}_error"))
