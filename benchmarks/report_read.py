"""Measures reading a store of 500 runs × 90 epochs × 170 numbers into frames and figures, beside MLflow's client.

The store is synthetic: epoch logs as nowt writes them, of a study of five rules. MLflow gets every number of a few of
its runs (``--mlflow-runs``) and is read as its client reads: metric by metric, run by run. Its time for all runs is
extrapolated from these; on them, it alternates with nowt's reader.

    python benchmarks/report_read.py
    python benchmarks/report_read.py --seeds 3 --epochs 5 --mlflow-runs 1 --turns 1     a quick test of the script

Limits: 10 s for the first reading, 1 s for 1 % more data, 20 times as fast as MLflow's client, and 20 s from frames to
all figures.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric
from rich.console import Console
from rich.table import Table

from analysis.frames.mlflow import read_mlflow
from analysis.frames.store.store import StoreFrames, read_store
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.study import read_frames
from analysis.report.study import report
from nowt.config.run_config import RunConfig, config_to_json
from nowt.config.run_key import run_key
from nowt.rules.registry import find_rule
from nowt.store.layout import Store
from nowt.store.listed_runs import ListedRun
from nowt.store.study_file import write_study_file
from nowt.studies.study import Cell, Study, study_to_json
from nowt.tracking.database import connect, database_uri

RULES = {"sham": 2.0, "fa": 80.0, "ss": 45.0, "wm": 6.0, "kp": 4.0}  # final angle of each rule, in degrees

LAYERS, CLASSES = 52, 10

SCALARS = ("lr", "train_loss", "train_error", "val_loss", "val_error", "test_loss", "test_error")

COSTS = {"step": 100, "presentations": 6400, "mirror_presentations": 640, "flops": 1e9, "seconds": 1.5}

MEASURES = ("matrix_angle", "delta_angle", "norm_ratio")

MLFLOW_BATCH = 1000  # metrics per request


def build_study(seeds: int, epochs: int) -> Study:
    """A study of five rules with feedback weights."""
    cells = tuple(Cell(rule, RunConfig(rule=find_rule(rule)(), epochs=epochs)) for rule in RULES)
    return Study("made_up", "How long does it take to read?", cells, tuple(range(seeds)), reference="sham")


def write_store(store: Path, study: Study) -> list[Path]:
    """Write the study file and the complete logs of its runs; return the logs' paths."""
    runs = [(cell.name, seed, config, run_key(config, "f")) for cell, seed, config in study.runs()]
    write_study_file(store, study.key, study_to_json(study), [ListedRun(k, c, s) for c, s, _, k in runs])
    Store(store).logs.mkdir()
    return [write_log(Store(store).log(key), config, key) for _, _, config, key in runs]


def write_log(path: Path, config: RunConfig, key: str) -> Path:
    """Write the log of a finished run."""
    start = {"schema": 1, "key": key, "config": config_to_json(config), "classes": CLASSES, "fingerprint": "f"}
    lines = [{"kind": "start", **start, "time": 0}, *epochs_of(config, range(config.epochs + 1))]
    end = {"kind": "end", "state": "finished", "reason": "", "epoch": config.epochs, "time": 10**6}
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, end]), encoding="utf-8")
    return path


def epochs_of(config: RunConfig, numbers: range) -> Iterator[dict[str, Any]]:
    """Yield the lines of these epochs."""
    noise = np.random.default_rng(config.seed)
    scalars = noise.normal(0.1, 0.01, (len(numbers), len(SCALARS)))
    layers = noise.normal(RULES[config.rule.name], 1.0, (len(numbers), LAYERS, len(MEASURES)))
    for row, number in enumerate(numbers):
        decay = np.exp(-number / 10)
        measured = dict(zip(SCALARS, (scalars[row] + 0.8 * decay).tolist(), strict=True))
        costs = {name: each * number for name, each in COSTS.items()} | {"probe_seconds": 0.1 * number}
        angles = np.abs(layers[row] + (85.0 - layers[row]) * decay).tolist()
        yield {"kind": "epoch", "epoch": number, **measured, **costs, "layers": _layers(angles), "time": 1000 + number}


def _layers(angles: list[list[float]]) -> list[dict[str, Any]]:
    named = [{"name": f"layer{i // 13}.{i % 13 // 3}.conv{i % 3}", "depth": i} for i in range(len(angles))]
    return [layer | dict(zip(MEASURES, row, strict=True)) for layer, row in zip(named, angles, strict=True)]


def all_frames(store: Path) -> StoreFrames:
    """Return every frame of the store."""
    frames = read_store(store)
    assert len(frames.runs) and len(frames.epochs) and len(frames.layers)
    return frames


def fill_mlflow(database: Path, logs: list[Path]) -> list[str]:
    """Write every number of these logs to an MLflow experiment; return the run ids."""
    client = connect(database)
    experiment = client.create_experiment("made up")
    return [_fill_run(client, client.create_run(experiment).info.run_id, log) for log in logs]


def _fill_run(client: MlflowClient, run: str, log: Path) -> str:
    lines = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    values = [metric for line in lines if line["kind"] == "epoch" for metric in _metrics(line)]
    for first in range(0, len(values), MLFLOW_BATCH):
        client.log_batch(run, metrics=values[first : first + MLFLOW_BATCH])
    return run


def _metrics(line: dict[str, Any]) -> Iterator[Metric]:
    for name in (*SCALARS, *COSTS, "probe_seconds"):
        yield Metric(name, line[name], line["time"], line["epoch"])
    for layer in line["layers"]:
        for name in MEASURES:
            yield Metric(f"{layer['name']}/{name}", layer[name], line["time"], line["epoch"])


def metric_by_metric(database: Path, runs: list[str]) -> int:
    """Read every number with MLflow's client; return how many."""
    client = MlflowClient(tracking_uri=database_uri(database))
    return sum(len(client.get_metric_history(run, name)) for run in runs for name in client.get_run(run).data.metrics)


def seconds(work: Callable[[], Any]) -> float:
    """Return the duration of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def against_mlflow(table: Table, folder: Path, logs: list[Path], all_runs: int, first: float, turns: int) -> None:
    """Read the same runs with MLflow's client and with nowt, alternating."""
    part = folder / "part"
    Store(part).logs.mkdir(parents=True)
    for log in logs:
        (Store(part).logs / log.name).write_bytes(log.read_bytes())
    runs = fill_mlflow(folder / "mlflow.db", logs)
    ours, theirs, bulk = [], [], []
    for turn in range(turns):
        if turn:
            Store(part).frames.rename(folder / f"frames{turn}")
        ours.append(seconds(lambda: all_frames(part)))
        theirs.append(seconds(lambda: metric_by_metric(folder / "mlflow.db", runs)))
        bulk.append(seconds(lambda: read_mlflow(database_uri(folder / "mlflow.db"), "made up")))
    whole = min(theirs) / len(logs) * all_runs
    estimate = f"{min(theirs):.1f} s for {len(logs)} runs, so {whole:.0f} s for {all_runs}"
    table.add_row("MLflow's client, metric by metric", estimate, "")
    table.add_row(
        f"nowt is faster, on all {all_runs} runs and on those {len(logs)}",
        f"{whole / first:.0f} times and {min(theirs) / min(ours):.0f} times",
        "20 times",
    )
    table.add_row(f"read_mlflow of those {len(logs)} runs", f"{min(bulk):.1f} s", "")


def measure(seeds: int, epochs: int, mlflow_runs: int, turns: int, folder: Path) -> Table:
    """Create the store, read it, add to it, and draw its report."""
    store, study = folder / "store", build_study(seeds, epochs)
    logs = write_store(store, study)
    numbers = len(logs) * (epochs + 1) * (len(SCALARS) + len(COSTS) + 1 + LAYERS * len(MEASURES))
    megabytes = sum(log.stat().st_size for log in logs) / 1e6
    title = f"{len(logs)} runs, {numbers / 1e6:.1f} million numbers, {megabytes:.0f} MB of logs"
    table = Table("what", "measured", "limit", box=None, pad_edge=False, title=title)
    first = seconds(lambda: all_frames(store))
    table.add_row("all frames, first reading", f"{first:.2f} s", "10 s")
    table.add_row(
        "again, without new data", f"{min(seconds(lambda: all_frames(store)) for _ in range(turns)):.2f} s", ""
    )
    more = [_with_more_runs(store, study, seeds + turn) for turn in range(turns)]
    table.add_row(f"1 % more, as {len(RULES)} new runs", f"{min(more):.2f} s", "1 s")
    table.add_row("1 % more, as one more epoch of every run", f"{_with_more_epochs(store, logs, study):.2f} s", "1 s")
    against_mlflow(table, folder, logs[:: max(len(logs) // mlflow_runs, 1)][:mlflow_runs], len(logs), first, turns)
    plan = find_study(store)
    assert isinstance(plan, StudyPlan)
    reading = seconds(lambda: read_frames(store, plan))
    drawing = seconds(lambda: report(store, None, folder / "figures")) - reading
    table.add_row("the study's frames from the cache", f"{reading:.2f} s", "")
    table.add_row("from frames to all figures", f"{drawing:.1f} s", "20 s")
    return table


def _with_more_runs(store: Path, study: Study, seed: int) -> float:
    """Seconds to read again after one more run of each rule."""
    for cell in study.cells:
        config = replace(cell.config, seed=seed)
        write_log(Store(store).log(run_key(config, "f")), config, run_key(config, "f"))
    return seconds(lambda: all_frames(store))


def _with_more_epochs(store: Path, logs: list[Path], study: Study) -> float:
    """Seconds to read again after one more epoch of each run."""
    configs = [config for _, _, config in study.runs()]
    for log, config in zip(logs, configs, strict=True):
        (line,) = epochs_of(config, range(config.epochs + 1, config.epochs + 2))
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return seconds(lambda: all_frames(store))


def main() -> None:
    """Measure in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="seeds per rule (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--mlflow-runs", type=int, default=5, help="runs written to MLflow (default: %(default)s)")
    parser.add_argument(
        "--turns", type=int, default=3, help="repetitions of a measurement; the fastest counts (default: %(default)s)"
    )
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        Console().print(measure(args.seeds, args.epochs, args.mlflow_runs, args.turns, Path(folder)))


if __name__ == "__main__":
    main()
