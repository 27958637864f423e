"""The best settings of a search, run again: on fresh seeds to confirm them, or on another net or other pictures."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nowt.config import ConfigError, RunConfig, config_from_json, nearest, require
from nowt.log import RunLog, read
from nowt.overrides import Override, apply, set_fields, value_at
from nowt.rules.rule import Rule
from nowt.sheet import Sheet, read_sheet, read_sheets
from nowt.study import Cell, Study


@dataclass(frozen=True)
class Found:
    """One of the best trials of a search's cell."""

    cell: str
    trial: int
    error: float  # on the validation pictures, after the last epoch
    config: RunConfig

    @property
    def name(self) -> str:
        """What it is called beside others."""
        return f"{self.cell} trial {self.trial}"


def search_sheet(store: Path, wanted: str) -> Sheet:
    """The sheet of the newest search of that name, or of that key. Raises ConfigError where the store has none."""
    sheets = [sheet for sheet in read_sheets(store) if "sampler" in sheet]
    named = [sheet for sheet in sheets if wanted in (sheet["name"], sheet["key"])]
    if not named:
        names = sorted({sheet["name"] for sheet in sheets})
        there = f"; it has: {', '.join(names)}" if names else ": nowt search SPACE makes one"
        raise ConfigError(f"store {store} has no search {wanted!r}{nearest(wanted, names)}{there}")
    return named[-1]


def best(store: Path, sheet: Sheet, most: int) -> list[Found]:
    """The ``most`` best finished trials of each cell, the best first; a run that several trials share counts once."""
    found: dict[str, list[Found]] = {cell["name"]: [] for cell in sheet["cells"]}
    seen = set()
    for run in sheet["runs"]:
        path = store / "logs" / f"{run['key']}.jsonl"
        if (run["cell"], run["key"]) in seen or not path.exists() or (log := read(path)).state != "finished":
            continue
        seen.add((run["cell"], run["key"]))
        config = config_from_json(log.start["config"])
        found[run["cell"]].append(Found(run["cell"], run["trial"], log.epochs[-1].val_error, config))
    ranked = {cell: sorted(trials, key=lambda one: (one.error, one.trial)) for cell, trials in found.items()}
    require(any(ranked.values()), f"search {sheet['name']} has no finished trial yet: nowt search {sheet['name']}")
    return [one for trials in ranked.values() for one in trials[:most]]


def confirmation(sheet: Sheet, found: Sequence[Found], seeds: tuple[int, ...]) -> Study:
    """The study that runs each of ``found`` on fresh seeds, scored on validation pictures."""
    cells = tuple(Cell(one.name, one.config) for one in found)
    question = f"Which of the best settings that {sheet['name']} found holds on fresh seeds?"
    reference = next((one.name for one in found if one.cell == sheet["reference"]), found[0].name)
    return Study(f"{sheet['name']}_confirmed", question, cells, seeds, reference)


def picks(sheet: Sheet, found: Sequence[Found], means: dict[str, float], seeds: tuple[int, ...]) -> Study:
    """The study that runs each cell's pick, the lowest of ``means`` on the fresh seeds, with the test pictures open."""
    chosen: dict[str, Found] = {}
    for one in sorted(found, key=lambda one: (means[one.name], one.trial)):
        chosen.setdefault(one.cell, one)
    cells = tuple(
        Cell(c["name"], replace(chosen[c["name"]].config, test=True)) for c in sheet["cells"] if c["name"] in chosen
    )
    reference = sheet["reference"] if sheet["reference"] in chosen else cells[0].name
    return Study(f"{sheet['name']}_picks", f"How do the picks of {sheet['name']} compare?", cells, seeds, reference)


def transfer(
    sheet: Sheet,
    found: Sequence[Found],
    recipe: Callable[[Rule], RunConfig],
    to: str,
    overrides: Sequence[Override],
    seeds: tuple[int, ...],
) -> Study:
    """The study that runs each of ``found`` on ``recipe``, unchanged, beside the recipe with each cell's own rule as it
    stands; fields of the recipe may be overridden, but none that was searched."""
    searched = {cell["name"]: {param["path"] for param in cell["params"]} for cell in sheet["cells"]}
    for override in overrides:
        path = override.path.replace("-", "_")
        taken = any(path in paths for paths in searched.values())
        require(not taken, f"--{override.path} is what {sheet['name']} searched, and it is carried over: leave it out")

    def on_target(rule: Rule) -> RunConfig:
        return replace(apply(recipe(rule), overrides), test=False)

    cells = []
    for cell in sheet["cells"]:
        cells.append(Cell(f"{cell['name']} recipe", on_target(config_from_json(cell["config"]).rule)))
        for one in (one for one in found if one.cell == cell["name"]):
            carried = {p: value_at(one.config, p) for p in searched[one.cell] if not p.startswith("rule.")}
            cells.append(Cell(one.name, set_fields(on_target(one.config.rule), carried)))
    names = [cell.name for cell in cells]
    reference = f"{sheet['reference']} recipe"
    question = f"Do the settings that {sheet['name']} found carry over to {to}?"
    return Study(
        f"{sheet['name']}_on_{to}", question, tuple(cells), seeds, reference if reference in names else names[0]
    )


def mean_errors(store: Path, study: Study, split: str) -> dict[str, float]:
    """By cell, the mean over the study's seeds of the error after the last epoch; diverged runs at chance."""
    errors: dict[str, list[float]] = {}
    for run in read_sheet(store / "studies" / f"{study.key}.json")["runs"]:
        if run["seed"] in study.seeds:
            errors.setdefault(run["cell"], []).append(_error(read(store / "logs" / f"{run['key']}.jsonl"), split))
    return {cell: statistics.fmean(values) for cell, values in errors.items()}


def _error(run: RunLog, split: str) -> float:
    if run.state == "diverged":
        return float(1 - 1 / run.start["classes"])
    error: Any = getattr(run.epochs[-1], f"{split}_error")
    return float(error)
