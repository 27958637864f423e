"""Computes a metric on every kept checkpoint of a study that has no result yet."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nowt.config.placement import Placement
from nowt.core.errors import ConfigError, Echo, require
from nowt.core.formatting import counted
from nowt.core.random_state import preserved_random_state
from nowt.core.seeding import seed_of
from nowt.evaluation.probes.checkpoints import RunCheckpoints, StudyCheckpoints, find_checkpoints
from nowt.evaluation.probes.network import SPLITS, NetworkBuilder, RunNetwork, autocast
from nowt.evaluation.probes.registry import Metric
from nowt.evaluation.probes.results import WHOLE_NETWORK, ProbeSettings, ResultLine, ResultsFile, open_results
from nowt.training.checkpoint import DamagedCheckpoint


class UnreadableCheckpoint(ConfigError):
    """A checkpoint that is damaged, or holds another network."""


@dataclass(frozen=True)
class ProbeTask:
    """The unmeasured checkpoints of a run, and the run that they are compared with, if any."""

    run: RunCheckpoints
    epochs: tuple[int, ...]
    reference: RunCheckpoints | None = None


def probe(store: Path, study: str, metric: Metric, placement: Placement, images: int, split: str, echo: Echo) -> str:
    """Compute a metric on the checkpoints that have no result yet, and append one line per run and epoch.

    An interruption loses at most the checkpoint in progress.

    Args:
        store: The folder of the store.
        study: Name or key of a study.
        metric: The metric, see :func:`registry.find_metric`.
        placement: Device and threads.
        images: Number of images in the batch.
        split: "train", "val" or "test".
        echo: Called with a line of progress for each run.

    Returns:
        A summary of what was measured.

    Raises:
        ConfigError: For an unknown study, an invalid split, or an invalid number of images.
        DataError: If the images differ from those of the runs.
    """
    require(images >= 1, f"--images is {images}: must be at least 1")
    require(split in SPLITS, f"--split is {split!r}: must be one of {', '.join(SPLITS)}")
    checkpoints = find_checkpoints(store, study)
    against = checkpoints.reference if "reference" in metric.required_inputs else ""
    settings = ProbeSettings(metric.digest, images, split, against)
    with open_results(store, checkpoints.key, metric.name, settings) as results:
        tasks = tuple(missing_tasks(checkpoints, metric, results.done))
        networks, new, defined = NetworkBuilder(placement, split, images), 0, 0
        for number, task in enumerate(tasks, 1):
            for line in measure_task(task, metric, networks, echo):
                results.add(line)
                new += 1
                defined += any(value is not None and math.isfinite(value) for value in line["values"].values())
            echo(f"[{number}/{len(tasks)}] {task.run.name}: epoch {', '.join(map(str, task.epochs))}")
        return _summary(checkpoints, metric, results, new, defined)


def missing_tasks(
    checkpoints: StudyCheckpoints, metric: Metric, done: frozenset[tuple[str, int]]
) -> Iterator[ProbeTask]:
    """Yield the tasks without a result. Raises ConfigError if the metric needs a reference and there is none."""
    for run, other in _pairs(checkpoints, metric):
        epochs = (e for e in run.checkpoints if other is None or e in other.checkpoints)
        if missing := tuple(epoch for epoch in epochs if (run.key, epoch) not in done):
            yield ProbeTask(run, missing, other)


def _pairs(checkpoints: StudyCheckpoints, metric: Metric) -> list[tuple[RunCheckpoints, RunCheckpoints | None]]:
    """Return each run with the run that it is compared with; None if the metric compares nothing."""
    if "reference" not in metric.required_inputs:
        return [(run, None) for run in checkpoints.runs]
    others = [run for run in checkpoints.runs if run.cell != checkpoints.reference]
    pairs = [(run, checkpoints.reference_run(run)) for run in others]
    pairs = [(run, other) for run, other in pairs if other and run.checkpoints.keys() & other.checkpoints.keys()]
    require(
        bool(pairs),
        f"{metric.name} compares a run with the run of {checkpoints.reference} at the same seed and epoch, but study "
        f"{checkpoints.key} has no kept checkpoints for such a pair",
    )
    return pairs


def measure_task(task: ProbeTask, metric: Metric, networks: NetworkBuilder, echo: Echo) -> Iterator[ResultLine]:
    """Yield one result line per checkpoint; a checkpoint that cannot be read is reported and skipped."""
    run, network = task.run, networks.build(task.run)
    x, y = networks.batch(run, network.training.device)
    start = network.copy() if "start" in metric.required_inputs else None
    inputs = {"x": x, "y": y, "loss": network.loss, "start": start}
    other = networks.build(task.reference) if task.reference else None
    for epoch in task.epochs:
        try:
            _load(network, run, epoch)
            if other and task.reference:
                _load(other, task.reference, epoch)
        except UnreadableCheckpoint as error:
            echo(str(error))
            continue
        inputs |= {"model": network.model, "reference": other.model if other else None}
        where = f"on {run.name} (run {run.key}) at epoch {epoch}"
        seed = seed_of(run.config.seed, "probe", metric.name, epoch)
        with preserved_random_state(x.device, seed), autocast(run.config, x.device):
            values = metric.compute(inputs, where)
        yield _result_line(run, network, epoch, metric, values)


def _result_line(
    run: RunCheckpoints, network: RunNetwork, epoch: int, metric: Metric, values: dict[str, float | None]
) -> ResultLine:
    layers = dict(network.model.named_modules())
    others = [name for name in values if name != WHOLE_NETWORK and name not in layers]
    known = {"run": run.key, "cell": run.cell, "rule": run.config.rule.name, "seed": run.config.seed}
    return {**known, "epoch": epoch, "metric": metric.name, "values": values, "others": others}


def _load(network: RunNetwork, run: RunCheckpoints, epoch: int) -> None:
    path = run.checkpoints[epoch]
    try:
        network.load(path)
    except (DamagedCheckpoint, FileNotFoundError) as error:
        raise UnreadableCheckpoint(f"skipped checkpoint {path}, which cannot be read: {error}") from None


def _summary(checkpoints: StudyCheckpoints, metric: Metric, results: ResultsFile, new: int, defined: int) -> str:
    before = f", {len(results.done)} measured before" if results.done else ""
    lines = [f"{metric.name}: {counted(new, 'checkpoint')} measured{before} ({results.path})"]
    if defined < new:
        lines.append(f"{new - defined} of them have no defined number, and appear in no figure")
    if all(len(run.checkpoints) == 1 for run in checkpoints.runs):
        lines.append("only one epoch per run is kept: for new runs, use --keep-checkpoints 0,10,50 or all")
    return "\n".join(lines)
