"""What ``nowt plan`` says of seeds: how many a gap takes, or which gap the study's own can find."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nowt.config.run_config import config_to_json
from nowt.core.errors import require
from nowt.store.layout import Store
from nowt.store.records import RunLog, chance_error
from nowt.store.run_log import read
from nowt.store.study_file import StudyFile, read_study_files
from nowt.studies.planning.power import ALPHA, MOST, equivalence_power, largest_deviation, seeds_for, smallest_ratio
from nowt.studies.study import Cell, Study

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Earlier:
    """What an earlier study says of one cell's gap to the reference."""

    deviation: float  # of the gap over seeds, percentage points
    pairs: int  # seeds that both cells finished
    study: str  # its key


@dataclass(frozen=True)
class TargetGap:
    """The gap that a study is to find. Raises ConfigError for one that cannot be."""

    gap: float | None = None  # percentage points
    deviation: float | None = None  # of the gap over seeds, percentage points; None: that of earlier runs

    def __post_init__(self) -> None:
        for name, value in (("gap", self.gap), ("deviation", self.deviation)):
            ok = value is None or 0 < value <= 100  # which nan is not
            require(ok, f"--{name} is {value}: it must lie above 0 and at 100 points at most")
        if self.deviation is not None:
            require(self.gap is not None, "--deviation is for --gap POINTS: give both")


def seeds_lines(study: Study, store: Path, sought: TargetGap) -> list[str]:
    """The seeds that the gap takes, cell by cell; without a gap, the one that the study's own seeds can find."""
    others = [cell.name for cell in study.cells if cell.name != study.reference]
    if len(others) == len(study.cells) or not others:
        asked = "--gap says nothing here: the study has no pair of a cell and its reference"
        return [asked] if sought.gap is not None else []
    alpha = ALPHA / len(others)
    known = {} if sought.deviation is not None else earlier_deviations(store, study)
    if sought.gap is None:
        return [_found(len(study.seeds), alpha, len(others)), *_found_points(known, len(study.seeds), alpha)]
    head = f"Seeds for a gap of {sought.gap:g} points to {study.reference} ({_test(len(others))}):"
    if sought.deviation is not None:
        given = Earlier(sought.deviation, 0, "")
        return [head, f"  {', '.join(others)}: {_needed(sought.gap, given, alpha)}"]
    return [head, *(f"  {name}: {_line(sought.gap, known.get(name), alpha)}" for name in others)]


def _test(comparisons: int) -> str:
    holm = f", over {comparisons} comparisons by Holm's strictest step" if comparisons > 1 else ""
    return f"paired t test at α = {ALPHA:g}{holm}, power 80 %"


def _found(seeds: int, alpha: float, comparisons: int) -> str:
    if seeds < 3:
        few = f"{seeds} seed{'s' * (seeds > 1)}"
        return f"Seeds: {few} give no interval and no test, it takes three; --gap POINTS tells how many a gap takes."
    ratio = smallest_ratio(seeds, alpha)
    return (
        f"Seeds: {seeds} find a gap {ratio:.1f} times as large as its deviation over seeds ({_test(comparisons)}); "
        "--gap POINTS tells how many a gap takes."
    )


def _found_points(known: dict[str, Earlier], seeds: int, alpha: float) -> Sequence[str]:
    if seeds < 3:
        return []
    ratio = smallest_ratio(seeds, alpha)
    return [f"  {name}: {ratio * one.deviation:.2g} points ({_whence(one)})" for name, one in known.items()]


def _line(gap: float, known: Earlier | None, alpha: float) -> str:
    if known is None:
        return "not known, no earlier runs of this rule, net, data and epochs: give --deviation POINTS, of the gap"
    if known.deviation == 0:
        return f"not known, its gap was the same with every seed ({_whence(known)}): give --deviation POINTS"
    most = largest_deviation(known.deviation, known.pairs)
    worst = _count(seeds_for(gap / most, alpha))
    return f"{_needed(gap, known, alpha)}. It may be as large as {most:.2g}: then {worst}"


def _needed(gap: float, one: Earlier, alpha: float) -> str:
    """Three at least, since fewer give no interval."""
    find, show = seeds_for(gap / one.deviation, alpha), seeds_for(gap / one.deviation, alpha, chance=equivalence_power)
    return f"{_count(find)} to find it, {_count(show)} to show equals to be within it ({_whence(one)})"


def _count(seeds: int | None) -> str:
    return f"more than {MOST} seeds" if seeds is None else f"{max(seeds, 3)} seeds"


def _whence(one: Earlier) -> str:
    source = f", from {one.pairs} pairs of {one.study}" if one.study else ""
    return f"deviation {one.deviation:.2g} points{source}"


def earlier_deviations(store: Path, study: Study) -> dict[str, Earlier]:
    """For each cell but the reference: the newest study of ``store`` with two seeds or more of its rule and of the
    reference's, with the same net, data and epochs. A cell without one is left out.
    """
    study_files = [study_file for study_file in reversed(read_study_files(store)) if not study_file.is_search]
    reference = next((cell for cell in study.cells if cell.name == study.reference), None)
    found = {}
    for cell in study.cells:
        if reference is not None and cell is not reference:
            known = (_earlier(store, study_file, cell, reference) for study_file in study_files)
            if first := next((one for one in known if one is not None), None):
                found[cell.name] = first
    return found


def _earlier(store: Path, study_file: StudyFile, cell: Cell, reference: Cell) -> Earlier | None:
    base = _like(study_file, config_to_json(reference.config))
    other = _like(study_file, config_to_json(cell.config), but=base)
    gaps = list(_gaps(_logs(store, study_file, other), _logs(store, study_file, base)))
    return Earlier(statistics.stdev(gaps), len(gaps), study_file.key) if len(gaps) > 1 else None


def _like(study_file: StudyFile, wanted: Config, but: str = "") -> str:
    """The cell with config ``wanted``; otherwise the first with its rule, net, data and epochs; otherwise nothing."""
    cells = {cell["name"]: cell["config"] for cell in study_file.cells if cell["name"] != but}
    same = [name for name, config in cells.items() if {**config, "seed": 0} == {**wanted, "seed": 0}]
    alike = [name for name, config in cells.items() if _kind(config) == _kind(wanted)]
    return next(iter([*same, *alike]), "")


def _kind(config: Config) -> tuple[Any, ...]:
    return config["rule"]["name"], config["model"], config["data"], config["epochs"], config["seeds"]


def _logs(store: Path, study_file: StudyFile, cell: str) -> dict[int, RunLog]:
    """The finished and diverged runs of a cell by seed."""
    paths = {run.seed: Store(store).log(run.key) for run in study_file.runs if run.cell == cell}
    logs = {seed: read(path) for seed, path in paths.items() if path.exists()}
    return {seed: log for seed, log in logs.items() if log.state in ("finished", "diverged")}


def _gaps(logs: Mapping[int, RunLog], base: Mapping[int, RunLog]) -> Iterator[float]:
    for seed in sorted(logs.keys() & base.keys()):
        split = "test" if all(_opened_test(log) for log in (logs[seed], base[seed])) else "val"
        yield 100 * (_final(logs[seed], split) - _final(base[seed], split))


def _opened_test(log: RunLog) -> bool:
    return log.state == "diverged" or log.epochs[-1].test_error == log.epochs[-1].test_error  # which nan is not


def _final(log: RunLog, split: str) -> float:
    """The error after the last epoch, chance for a diverged run: a share from 0 to 1."""
    if log.state == "diverged":
        return chance_error(log.start["classes"])
    return float(getattr(log.epochs[-1], f"{split}_error"))
