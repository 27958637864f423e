"""``nowt runs`` and ``nowt show``: the contents of epoch logs as text."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import get_args

from rich.console import Console
from rich.table import Table

from nowt.core.errors import ConfigError, did_you_mean
from nowt.core.formatting import counted, decimal, degrees
from nowt.core.plugins import absolute_spec, file_label, file_labels, is_file_spec, split_spec
from nowt.execution.progress import ending_text
from nowt.rules.registry import short_name
from nowt.store.certificates import outdated_parts, read_certificate
from nowt.store.chance import Score, last_error
from nowt.store.existing import nearest_store, require_store
from nowt.store.layout import Store
from nowt.store.locks import is_locked
from nowt.store.outcome import run_marks, run_warnings
from nowt.store.records import MEASURES, Layer, RunLog, State, median_over_layers, rule_label
from nowt.store.run_log import read_all
from nowt.store.study_file import find_study_files, read_study_files
from nowt.store.superseded_runs import superseded_everywhere
from nowt.tracking.outbox import undelivered

# the states of a log, and that of a run whose process no longer exists
STATES = ["interrupted", *(state for state in get_args(State) if state != "missing")]


def runs_table(store: Path, *, rule: str | None, state: str | None, study: str | None) -> str:
    """Return the runs as a table, or a sentence if there are none. Raises ConfigError for an unknown state."""
    if state is not None and state not in STATES:
        raise ConfigError(f"--state is {state!r}{did_you_mean(state, STATES)}: it must be one of {', '.join(STATES)}")
    if not store.exists():
        return (
            f"there is no store {store}{nearest_store(store)}: use --store DIR for another folder, or create one with "
            "nowt ablate STUDY"
        )
    studies = find_study_files(store, study) if study else None
    only = None if studies is None else {run.key for file in studies for run in file.runs}
    runs = list(read_all(store))
    found = [run for run in map(partial(_with_interruption, store), runs) if _matches(run, rule, state, only)]
    waiting = [str(line) for line in undelivered(store, runs)]
    if not found:
        hint = f"nowt runs --store {quote(str(store))} lists all runs"
        return "\n".join([f"no matching runs in {store} ({hint})", *waiting])
    return "\n".join([_text(_runs(found, superseded_everywhere(store, studies))), *waiting])


def _runs(found: Sequence[RunLog], superseded: Mapping[str, str]) -> Table:
    """Return one row per run, with a column of warnings and one of superseding runs if there are any."""
    marks = {run.key: ", ".join(run_marks(run)) for run in found}
    extra = {"warning": marks, "superseded by": {run.key: superseded.get(run.key, "") for run in found}}
    extra = {name: texts for name, texts in extra.items() if any(texts.values())}
    scores = {run.key: last_error(run) for run in found if run.epochs}
    mixed = any(score.split == "test" for score in scores.values())  # of runs that train on the validation images
    head = ["run", "rule", "model", "data", "seed", "epochs", "error" if mixed else "val error", "state", *extra]
    table = Table(*head, box=None, pad_edge=False)
    labels = file_labels(run.start["config"][part]["name"] for run in found for part in ("rule", "model"))
    for run in found:
        config = run.start["config"]
        error = _error(scores[run.key], mixed) if run.epochs else "-"
        rule, model = (labels[config[part]["name"]] for part in ("rule", "model"))
        names = (rule_label(run.rule_name, rule), model, config["data"]["name"], str(config["seed"]))
        epochs = f"{max(0, run.last_epoch)}/{config['epochs']}"
        table.add_row(run.key, *names, epochs, error, run.state, *(texts[run.key] for texts in extra.values()))
    return table


def run_page(store: Path, prefix: str) -> str:
    """Return one run: config, learning curve, and the last alignment that was measured.

    Raises ConfigError unless exactly one run's key begins with ``prefix``, and for a missing store.
    """
    require_store(store)
    found = [_with_interruption(store, run) for run in read_all(store) if _has_key(run, prefix)]
    if len(found) != 1:
        if not found:
            if any(prefix in (file.name, file.key) for file in read_study_files(store)):
                raise ConfigError(f"{prefix} is a study, not a run: nowt runs --study {prefix} lists its runs")
            raise ConfigError(f"no run in {store} has a key that begins with {prefix!r} (nowt runs lists all runs)")
        raise ConfigError(f"{prefix!r} is ambiguous in {store}: {', '.join(run.key for run in found)} begin with it")
    run = found[0]
    parts = [_head(run, store), _text(_curve(run))]
    if measured := [epoch for epoch in run.epochs if epoch.layers]:
        parts.append(f"{_when_measured(run, measured[-1].epoch)}:\n{_text(_alignment(measured[-1].layers))}")
    return "\n\n".join(parts)


def _has_key(run: RunLog, prefix: str) -> bool:
    """Return whether the run's key begins with ``prefix``, or one that it had before ``nowt upgrade``."""
    return any(key.startswith(prefix) for key in (run.key, *run.earlier_keys))


def _with_interruption(store: Path, run: RunLog) -> RunLog:
    """Return the run, as interrupted if its log has no end and no process is writing it."""
    if run.state != "running" or is_locked(Store(store).log(run.key)):
        return run
    return replace(run, state="interrupted", reason="interrupted; run its command again to resume")


def _head(run: RunLog, store: Path) -> str:
    from nowt.core.fields import flatten  # imports pydantic, which other tables do not need

    lines = [f"run {run.key}: {ending_text(run)}", *(f"warning: {text}" for text in run_warnings(run))]
    if successor := superseded_everywhere(store).get(run.key):
        lines.append(f"superseded by run {successor}, of the same cell and seed with other images or code")
    lines += [f"until nowt upgrade, its key was {key}" for key in run.earlier_keys]
    lines.append(f"data {run.start.get('fingerprint', 'not recorded')}")
    lines.append(f"commit {_commit(run)}")
    lines += [*run.changes, *_certificate_line(store, run.start.get("certificate", ""))]
    if skipped := run.start.get("skipped"):
        names = ", ".join(line.partition(": ")[0] for line in skipped)
        lines.append(f"{counted(len(skipped), 'image')} left out: {names}")
    if uncovered := run.start.get("not_replaced"):
        lines.append(f"weights that use backprop: {', '.join(uncovered)}")
    if run.rule_name:
        lines.append(f"rule {rule_label(run.rule_name, file_label(run.start['config']['rule']['name']))}")
    lines += [f"  {name} = {json.dumps(value)}" for name, value in flatten(run.start["config"]).items()]
    return "\n".join(lines)


def _commit(run: RunLog) -> str:
    """Return the commit that the run started with, and whether it had changes."""
    git = run.start.get("git")
    if git is None:
        return "not recorded"
    return f"{git['commit'][:12] or 'none'}{' (with changes)' if git['dirty'] else ''}"


def _certificate_line(store: Path, name: str) -> Iterator[str]:
    """Yield what the run's certificate says, and whether it is outdated; nothing if the store does not have it."""
    if certificate := read_certificate(store, name):
        outdated = ", ".join(outdated_parts(certificate))
        yield f"{name}: {certificate.get('verdict')}{f' (outdated: {outdated})' if outdated else ''}"


def _curve(run: RunLog) -> Table:
    shared = ("workers",) if any(n > 1 for n in run.workers) else ()
    table = Table(
        "epoch", "lr", "train loss", "train error", "val error", "test error", *shared, box=None, pad_edge=False
    )
    for e, workers in zip(run.epochs, run.workers, strict=True):
        errors = (_number(100 * v, ".2f", " %") for v in (e.train_error, e.val_error, e.test_error))
        table.add_row(str(e.epoch), f"{e.lr:.4g}", _loss(e.train_loss), *errors, *(str(workers) for _ in shared))
    return table


def _error(score: Score, mixed: bool) -> str:
    """Return the error as text, with the name of its split where a table has both."""
    return f"{score.split} " * mixed + _number(100 * score.error, ".2f", " %")


def _number(value: float, form: str, unit: str = "") -> str:
    """Return the number as text; ``-`` if it is undefined, for example the training error at epoch 0."""
    return "-" if math.isnan(value) else f"{value:{form}}{unit}"


def _loss(value: float) -> str:
    return "-" if math.isnan(value) else decimal(value, 4)


def _when_measured(run: RunLog, epoch: int) -> str:
    """Return after which epoch the alignment was measured; that of a diverged run is an earlier one."""
    when = f"alignment after epoch {epoch}" if epoch else "alignment at epoch 0, before learning"
    return f"{when} (the last that was measured)" if run.state == "diverged" or epoch < run.last_epoch else when


def _alignment(layers: Sequence[Layer]) -> Table:
    """Return one row per layer and their medians; ``-`` where a value is undefined."""
    table = Table("layer", "matrix angle", "δ angle", "|B|/|W|", box=None, pad_edge=False)
    for layer in layers:
        table.add_row(layer.name, *_measures(layer.matrix_angle, layer.delta_angle, layer.norm_ratio))
    table.add_row("median", *_measures(*(median_over_layers(measure, layers) for measure in MEASURES)))
    table.caption = "The δ angle of the last layer is 0 under every rule and is not part of the median."
    return table


def _measures(matrix: float, delta: float, ratio: float) -> tuple[str, ...]:
    angles = ("-" if math.isnan(angle) else degrees(angle) for angle in (matrix, delta))
    return (*angles, "-" if math.isnan(ratio) else decimal(ratio, 3))


def _matches(run: RunLog, rule: str | None, state: str | None, only: set[str] | None) -> bool:
    return (
        (rule is None or _has_rule(run, rule))
        and (state is None or run.state == state)
        and (only is None or run.key in only)
    )


def _has_rule(run: RunLog, rule: str) -> bool:
    names = {*_names(run.start["config"]["rule"]["name"]), run.rule_name}
    return not {short_name(rule), absolute_spec(rule)}.isdisjoint(names)


def _names(rule: str) -> set[str]:
    """Return the names of a rule: one from a file (``./mine.py:Mine``) also has those of the file, its stem and its
    class."""
    if not is_file_spec(rule):
        return {rule}
    file, _, kind = split_spec(rule)
    return {rule, file_label(rule), file, Path(file).name, Path(file).stem, kind} - {""}


def _text(table: Table) -> str:
    console = Console(width=160, markup=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()
