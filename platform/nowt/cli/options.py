"""What the options that several verbs share say."""

import argparse
from dataclasses import replace
from pathlib import Path

from nowt.config.overrides import Override, apply_overrides
from nowt.config.placement import Placement
from nowt.config.run_key import run_key
from nowt.core.errors import ConfigError, require
from nowt.execution.pricing import Price
from nowt.execution.runner import ExecutionOptions
from nowt.execution.spending_cap import SpendingCap
from nowt.store.files import check_writable
from nowt.studies.study import Cell, Study
from nowt.training.retention import parse_keep


def placement(typed: argparse.Namespace) -> Placement:
    """Where runs are computed. Raises ConfigError for what cannot be."""
    slots, seconds = getattr(typed, "slots", None), typed.checkpoint_seconds
    require(slots is None or slots >= 1, f"--slots is {slots}: it must be at least 1")
    require(seconds >= 0, f"--checkpoint-seconds is {seconds}: it must be at least 0")  # which nan is not
    return replace(
        machine(typed),
        slots=slots,
        checkpoint_seconds=seconds,
        keep=parse_keep(typed.keep_checkpoints),
        checkpoints=_bucket(getattr(typed, "checkpoints", "")),
        workers=getattr(typed, "workers", 1),
        gpus_per_worker=getattr(typed, "gpus_per_worker", None),
    )


def _bucket(url: str) -> str:
    """A place for checkpoints where they can be put, which costs a request to find out. Raises OSError where not."""
    from nowt.store.sync.checkpoint_bucket import check_bucket

    if url:
        check_bucket(url)
    return url


def machine(typed: argparse.Namespace) -> Placement:
    """Where anything is computed, and its files. Raises ConfigError for what cannot be."""
    require(typed.threads >= 1, f"--threads is {typed.threads}: it must be at least 1")
    require(typed.loaders >= 0, f"--loaders is {typed.loaders}: it must be at least 0")
    check_writable(Path(typed.store), "--store")
    return Placement(
        store=typed.store, data=typed.data_dir, device=typed.device, threads=typed.threads, loaders=typed.loaders
    )


def how(typed: argparse.Namespace) -> ExecutionOptions:
    """How a study's runs are done. Raises ConfigError for options that contradict each other."""
    require(
        not typed.in_process or (typed.workers == 1 and typed.gpus_per_worker is None),
        "--in-process runs without Ray, which --workers and --gpus-per-worker need: leave it or them out",
    )
    require(not typed.in_process or typed.slots in (None, 1), "--in-process does one run at a time: leave --slots out")
    price = None if typed.price is None else Price.parse(typed.price)
    require(
        not (typed.in_process and price and price.by_type),
        "--in-process runs without a cluster, which has the node types of --price: give an hour's price alone",
    )
    return ExecutionOptions(placement(typed), typed.in_process, SpendingCap(typed.hours, typed.money, price))


def study(typed: argparse.Namespace, overrides: list[Override]) -> Study:
    """The study as the command line changes it: fields in every cell, ``--rule`` as another cell, seeds, --quick."""
    from nowt.rules.registry import find_rule
    from nowt.studies.ablation import quick
    from nowt.studies.lookup import find_study

    found = find_study(typed.study)
    if any(o.path == "seed" for o in overrides):
        raise ConfigError("a study gives each run its seed: --seeds N runs seeds 0 to N-1")
    added = [o.text for o in overrides if o.path == "rule"]
    rest = [o for o in overrides if o.path != "rule"]
    cells = [Cell(cell.name, apply_overrides(cell.config, rest)) for cell in found.cells]
    for spec in added:
        rule = find_rule(spec)()
        cells.append(Cell(rule.name, apply_overrides(replace(found.cells[0].config, rule=rule), rest)))
    if len({run_key(replace(cell.config, seed=0), "") for cell in cells}) < len(cells):
        raise ConfigError("these options make two cells of the study the same: leave out what the study itself varies")
    require(typed.seeds is None or typed.seeds >= 1, f"--seeds is {typed.seeds}: it must be at least 1")
    seeds = found.seeds if typed.seeds is None else tuple(range(typed.seeds))
    changed = replace(found, cells=tuple(cells), seeds=seeds)
    return quick(changed) if typed.quick else changed


def none_of(overrides: list[Override]) -> None:
    """Raise ConfigError for a field given to a verb that has none."""
    if overrides:
        raise ConfigError(f"there is no option --{overrides[0].path} here; --help lists all")


def exit_code(interrupted: bool, capped: str, failed: bool) -> int:
    """The exit code of a study. Raises KeyboardInterrupt for one that the user interrupted."""
    if interrupted:
        raise KeyboardInterrupt
    return 130 if capped else int(failed)
