"""``nowt runs`` and ``nowt show``: what the logs say, as text."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.table import Table

from nowt.core.errors import ConfigError, nearest
from nowt.execution.progress import ending
from nowt.rules.registry import short_name
from nowt.store.layout import Store
from nowt.store.locks import is_locked
from nowt.store.records import RunLog, State
from nowt.store.run_log import read_all
from nowt.store.study_file import read_study_files
from nowt.tracking.outbox import undelivered

# those that a log can be in, and that of a run whose process is gone
STATES = ["interrupted", *(state for state in get_args(State) if state != "missing")]


def runs_table(store: Path, *, rule: str | None, state: str | None, study: str | None) -> str:
    """The runs as a table; a sentence where there is none. Raises ConfigError for a state that does not exist."""
    if state is not None and state not in STATES:
        raise ConfigError(f"--state is {state!r}{nearest(state, STATES)}: it must be one of {', '.join(STATES)}")
    if not store.exists():
        return f"there is no store {store}: nowt ablate rules_on_digits makes one, --store names another"
    table = Table("run", "rule", "model", "data", "seed", "epochs", "val error", "state", box=None, pad_edge=False)
    only = _keys_of(store, study) if study else None
    runs = list(read_all(store))
    found = [run for run in map(partial(_as_it_stands, store), runs) if _chosen(run, rule, state, only)]
    waiting = [str(line) for line in undelivered(store, runs)]
    if not found:
        return "\n".join([f"no such run in {store}: nowt runs --store {store} lists all", *waiting])
    for run in found:
        config = run.start["config"]
        error = f"{100 * run.epochs[-1].val_error:.2f} %" if run.epochs else "-"
        names = (config["rule"]["name"], config["model"]["name"], config["data"]["name"], str(config["seed"]))
        table.add_row(run.key, *names, f"{max(0, run.last_epoch)}/{config['epochs']}", error, run.state)
    return "\n".join([_text(table), *waiting])


def run_page(store: Path, prefix: str) -> str:
    """One run: config, curve, alignment of the last epoch. Raises ConfigError for no or several such runs."""
    found = [_as_it_stands(store, run) for run in read_all(store) if run.key.startswith(prefix)]
    if len(found) != 1:
        which = ", ".join(run.key for run in found) or "none"
        raise ConfigError(
            f"{prefix!r} must begin the key of one run in {store}; it begins: {which} (nowt runs lists all)"
        )
    run = found[0]
    parts = [_head(run), _text(_curve(run))]
    if run.epochs and run.epochs[-1].layers:
        parts.append(_text(_alignment(run)))
    return "\n\n".join(parts)


def _as_it_stands(store: Path, run: RunLog) -> RunLog:
    """A run that nobody is at, though its log has no end, is interrupted."""
    if run.state != "running" or is_locked(Store(store).log(run.key)):
        return run
    return replace(run, state="interrupted", reason="interrupted; the command that ran it goes on")


def _head(run: RunLog) -> str:
    git = run.start["git"]
    lines = [f"run {run.key}: {ending(run)}", f"data {run.start['fingerprint']}"]
    lines.append(f"commit {git['commit'][:12] or 'none'}{' (with changes)' if git['dirty'] else ''}")
    if skipped := run.start.get("skipped"):
        names = ", ".join(line.partition(": ")[0] for line in skipped)
        lines.append(f"{len(skipped)} picture{'s' * (len(skipped) > 1)} left out: {names}")
    lines += [f"  {name} = {json.dumps(value)}" for name, value in _flat(run.start["config"])]
    return "\n".join(lines)


def _flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in data.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return found


def _curve(run: RunLog) -> Table:
    shared = ("workers",) if any(n > 1 for n in run.workers) else ()
    table = Table(
        "epoch", "lr", "train loss", "train error", "val error", "test error", *shared, box=None, pad_edge=False
    )
    for e, workers in zip(run.epochs, run.workers, strict=True):
        errors = (_number(100 * v, ".2f", " %") for v in (e.train_error, e.val_error, e.test_error))
        table.add_row(
            str(e.epoch), f"{e.lr:.4g}", _number(e.train_loss, ".4f"), *errors, *(str(workers) for _ in shared)
        )
    return table


def _number(value: float, form: str, unit: str = "") -> str:
    """The number as text; ``-`` where it is undefined, such as the training loss before learning."""
    return "-" if math.isnan(value) else f"{value:{form}}{unit}"


def _alignment(run: RunLog) -> Table:
    table = Table("layer", "matrix angle", "δ angle", "|B|/|W|", box=None, pad_edge=False)
    for layer in run.epochs[-1].layers:
        table.add_row(layer.name, f"{layer.matrix_angle:.2f}°", f"{layer.delta_angle:.2f}°", f"{layer.norm_ratio:.3f}")
    return table


def _chosen(run: RunLog, rule: str | None, state: str | None, only: set[str] | None) -> bool:
    return (
        (rule is None or short_name(rule) in _names(run.start["config"]["rule"]["name"]))
        and (state is None or run.state == state)
        and (only is None or run.key in only)
    )


def _names(rule: str) -> set[str]:
    """What the rule can be called: one from a file (``./mine.py:Mine``) also as that file, or as its stem."""
    file, _, _ = rule.partition(":")
    return {rule, file, Path(file).name, Path(file).stem} if file.endswith(".py") else {rule}


def _keys_of(store: Path, study: str) -> set[str]:
    study_files = read_study_files(store)
    names = sorted({name for study_file in study_files for name in (study_file.name, study_file.key)})
    if study not in names:
        there = ", ".join(sorted({study_file.name for study_file in study_files})) or "none"
        raise ConfigError(f"store {store} has no study {study!r}{nearest(study, names)}; it has: {there}")
    return {
        run.key for study_file in study_files if study in (study_file.name, study_file.key) for run in study_file.runs
    }


def _text(table: Table) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()
