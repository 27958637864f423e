"""How much the gap between two cells varied over seeds, in earlier runs of a store."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nowt.config import config_to_json
from nowt.log import RunLog, read
from nowt.sheet import Sheet, read_sheets
from nowt.study import Cell, Study

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Earlier:
    """What an earlier study says of one cell's gap to the reference."""

    deviation: float  # of the gap over seeds, percentage points
    pairs: int  # seeds that both cells finished
    study: str  # its key


def earlier_deviations(store: Path, study: Study) -> dict[str, Earlier]:
    """For each cell but the reference: the newest study of ``store`` with two seeds or more of its rule and of the
    reference's, with the same net, data and epochs. A cell without one is left out.
    """
    sheets = [sheet for sheet in reversed(read_sheets(store)) if "sampler" not in sheet]
    reference = next((cell for cell in study.cells if cell.name == study.reference), None)
    found = {}
    for cell in study.cells:
        if reference is not None and cell is not reference:
            known = (_earlier(store, sheet, cell, reference) for sheet in sheets)
            if first := next((one for one in known if one is not None), None):
                found[cell.name] = first
    return found


def _earlier(store: Path, sheet: Sheet, cell: Cell, reference: Cell) -> Earlier | None:
    base = _like(sheet, config_to_json(reference.config))
    other = _like(sheet, config_to_json(cell.config), but=base)
    gaps = list(_gaps(_logs(store, sheet, other), _logs(store, sheet, base)))
    return Earlier(statistics.stdev(gaps), len(gaps), sheet["key"]) if len(gaps) > 1 else None


def _like(sheet: Sheet, wanted: Config, but: str = "") -> str:
    """The sheet's cell with ``wanted``'s config; else the first with its rule, net, data and epochs; else nothing."""
    cells = {cell["name"]: cell["config"] for cell in sheet["cells"] if cell["name"] != but}
    same = [name for name, config in cells.items() if {**config, "seed": 0} == {**wanted, "seed": 0}]
    alike = [name for name, config in cells.items() if _kind(config) == _kind(wanted)]
    return next(iter([*same, *alike]), "")


def _kind(config: Config) -> tuple[Any, ...]:
    return config["rule"]["name"], config["model"], config["data"], config["epochs"], config["seeds"]


def _logs(store: Path, sheet: Sheet, cell: str) -> dict[int, RunLog]:
    """The finished and diverged runs of a cell by seed."""
    paths = {run["seed"]: store / "logs" / f"{run['key']}.jsonl" for run in sheet["runs"] if run["cell"] == cell}
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
    chance = 1 - 1 / log.start["classes"]
    return chance if log.state == "diverged" else float(getattr(log.epochs[-1], f"{split}_error"))
