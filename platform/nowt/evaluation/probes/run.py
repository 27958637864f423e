"""Measures what is missing: every kept checkpoint of a study that a metric's results do not have yet."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nowt.config.placement import Placement
from nowt.core.errors import ConfigError, require
from nowt.core.seeding import seed_of
from nowt.evaluation.probes.checkpoints import Kept, Probed, kept_by
from nowt.evaluation.probes.isolation import own_generator
from nowt.evaluation.probes.network import SPLITS, Network, Networks, autocast
from nowt.evaluation.probes.registry import Measure
from nowt.evaluation.probes.results import WHOLE, Line, Results, Settings, results
from nowt.training import checkpoint

Say = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """One run's checkpoints that are to be measured, each beside the reference's where the metric asks for it."""

    run: Kept
    epochs: tuple[int, ...]
    reference: Kept | None = None


def probe(store: Path, study: str, measure: Measure, placement: Placement, pictures: int, split: str, say: Say) -> str:
    """Measure what is missing, a line of results for each run and epoch; what was done, in words.

    Ctrl-C loses at most the checkpoint in progress. Raises ConfigError for a study, split or number of pictures that
    cannot be, DataError where the pictures are not those of the runs.
    """
    require(pictures >= 1, f"--pictures is {pictures}: it must be at least 1")
    require(split in SPLITS, f"--split is {split!r}: it must be one of {', '.join(SPLITS)}")
    probed = kept_by(store, study)
    against = probed.reference if "reference" in measure.asks else ""
    with results(store, probed.key, measure.name, Settings(measure.digest, pictures, split, against)) as found:
        tasks = tuple(tasks_of(probed, measure, found.done))
        networks, new, defined = Networks(placement, split, pictures), 0, 0
        for number, task in enumerate(tasks, 1):
            for line in measured(task, measure, networks, say):
                found.add(line)
                new += 1
                defined += any(value is not None and math.isfinite(value) for value in line["values"].values())
            say(f"[{number}/{len(tasks)}] {task.run.name}: epoch {', '.join(map(str, task.epochs))}")
        return _summary(probed, measure, found, new, defined)


def tasks_of(probed: Probed, measure: Measure, done: frozenset[tuple[str, int]]) -> Iterator[Task]:
    """What is left to measure. Raises ConfigError where there is nothing to compare with."""
    compares = "reference" in measure.asks
    pairs = [(run, probed.beside(run) if compares else None) for run in probed.runs]
    if compares:
        pairs = [(run, other) for run, other in pairs if run.cell != probed.reference and other is not None]
        pairs = [(run, other) for run, other in pairs if other and run.checkpoints.keys() & other.checkpoints.keys()]
        require(
            bool(pairs),
            f"{measure.name} compares a run with {probed.reference}'s of the same seed and epoch, and no two such "
            f"checkpoints are kept in study {probed.key}",
        )
    for run, other in pairs:
        epochs = (e for e in run.checkpoints if other is None or e in other.checkpoints)
        if missing := tuple(epoch for epoch in epochs if (run.key, epoch) not in done):
            yield Task(run, missing, other)


def measured(task: Task, measure: Measure, networks: Networks, say: Say) -> Iterator[Line]:
    """One line of results for each checkpoint that can be read; the others are named."""
    run, network = task.run, networks.of(task.run)
    x, y = networks.batch(run, network.training.device)
    offered = {"x": x, "y": y, "loss": network.loss, "start": network.copy() if "start" in measure.asks else None}
    other = networks.of(task.reference) if task.reference else None
    for epoch in task.epochs:
        try:
            _load(network, run, epoch)
            if other and task.reference:
                _load(other, task.reference, epoch)
        except Unreadable as error:
            say(str(error))
            continue
        offered |= {"model": network.model, "reference": other.model if other else None}
        where = f"on {run.name} (run {run.key}) at epoch {epoch}"
        seed = seed_of(run.config.seed, "probe", measure.name, epoch)
        with own_generator(x.device, seed), autocast(run.config, x.device):
            values = measure.of(offered, where)
        known = {"run": run.key, "cell": run.cell, "rule": run.config.rule.name, "seed": run.config.seed}
        layers = dict(network.model.named_modules())
        others = [name for name in values if name != WHOLE and name not in layers]
        yield {**known, "epoch": epoch, "metric": measure.name, "values": values, "others": others}


class Unreadable(ConfigError):
    """A checkpoint that is broken, or of another network."""


def _load(network: Network, run: Kept, epoch: int) -> None:
    path = run.checkpoints[epoch]
    try:
        network.load(path)
    except checkpoint.READ_ERRORS as error:
        raise Unreadable(f"checkpoint {path} cannot be read ({checkpoint.describe_error(error)}): left out") from None


def _summary(probed: Probed, measure: Measure, found: Results, new: int, defined: int) -> str:
    known = f", {len(found.done)} were measured before" if found.done else ""
    lines = [f"{measure.name}: {new} checkpoint{'s' * (new != 1)} measured{known} ({found.path})"]
    if defined < new:
        lines.append(f"not one number is defined on {new - defined} of them, which no figure shows")
    if all(len(run.checkpoints) == 1 for run in probed.runs):
        lines.append("only one epoch of each run is kept: new runs keep more with --keep-checkpoints 0,10,50 or all")
    return "\n".join(lines)
