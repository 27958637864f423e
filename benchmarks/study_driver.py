"""Measures the process that drives a large ablation: how its memory grows, and how soon its first run begins.

    python benchmarks/study_driver.py                              1,000 runs of 90 epochs, and a plan of 5,000 runs
    python benchmarks/study_driver.py --runs 10 --planned 10       a quick test of the script

The runs are simulated: each reports 91 epochs with the layers of a ResNet-50 at once. They go through the lifecycle of
a study, its queue, its logs and its progress display. MLflow, certificates and waiting for the disk are left out: a
simulated run is so short that MLflow's thread would never catch up, and the rest does not depend on the number of runs.

Limits: the resident memory grows by less than 300 MB, and the first run begins within 3 s (without imports).
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console

from nowt.config.placement import Placement
from nowt.config.recipes import digits, resnet50_imagenet
from nowt.config.run_config import RunConfig
from nowt.execution.lifecycle import StudyExecution
from nowt.execution.preparation import plan_seeds
from nowt.execution.progress import StudyProgress
from nowt.execution.run_queue import RunQueue
from nowt.execution.runner import ExecutionOptions
from nowt.execution.scheduler import Scheduler
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule
from nowt.store.listed_runs import ListedRun
from nowt.store.records import Epoch, Layer, epoch_to_json
from nowt.studies.ablation import ablate
from nowt.studies.study import Cell, Study, study_to_json

RULES = ("bp", "fa", "ss", "wm", "kp")

LAYERS = 54

IMAGES = 1_281_167

FACTS = {
    "fingerprint": "f",
    "classes": 1000,
    "training": IMAGES,
    "skipped": [],
    "not_replaced": [],
    "class_folders": [f"n{number:08}" for number in range(1000)],
}


def resident() -> float:
    """Return the resident memory of this process, in MB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) * 1024 / 1e6


def epoch(number: int, draws: np.random.Generator) -> dict[str, Any]:
    """Return an epoch as a worker reports it."""
    angles = draws.uniform(0, 90, (LAYERS, 2)).tolist()
    layers = tuple(Layer(f"layer{n}.conv", n, a, b, a / 90, n < LAYERS - 1) for n, (a, b) in enumerate(angles))
    a, b, c, d = draws.random(4).tolist()
    shown = IMAGES * number
    found = Epoch(number, number * 5004, a, b, c, d, a / 2, b / 2, c / 2, shown, 0, 4e9 * shown, 1e4 * a, d, layers)
    return {"kind": "epoch", "epoch": epoch_to_json(found)}


def simulate(scheduler: Scheduler, placement: Placement) -> bool:
    """Execute all runs, each by its messages alone. Print the memory after each hundred runs, and its growth."""
    draws, count, begin = np.random.default_rng(0), 0, resident()
    while (decision := scheduler.decide()).do == "start":
        key = decision.key
        epochs = scheduler.begin(key).config.epochs
        scheduler.receive(key, {"kind": "start"})
        for number in range(epochs + 1):
            scheduler.receive(key, epoch(number, draws))
        scheduler.receive(key, {"kind": "end", "state": "finished", "reason": ""})
        count += 1
        if count % 100 == 0:
            print(f"after {count:4} runs {resident():5.0f} MB", flush=True)
    print(f"{count} runs: the memory grew by {resident() - begin:.0f} MB from {begin:.0f} MB")
    return True


def study_of(recipe: Callable[[Rule], RunConfig], cells: int, seeds: int) -> Study:
    """Return a study of this size, with five rules in turn and a learning rate of its own for each cell."""
    made = []
    for number in range(cells):
        name = RULES[number % len(RULES)]
        config = recipe(find_rule(name)())
        optim = replace(config.optim, lr=0.01 + number / cells)
        made.append(Cell(f"{name}-{number}", replace(config, optim=optim)))
    return Study("large", "How large may a study be?", tuple(made), seeds=tuple(range(seeds)))


def grow(study: Study, options: ExecutionOptions) -> None:
    """Execute a study of simulated runs on images that do not exist."""
    found = (plan_seeds(cell.name, cell.config, study.seeds, lambda config: FACTS) for cell in study.cells)
    plan = tuple(run for of_cell in found for run in of_cell)
    execution = StudyExecution(study.key, options, print)
    with patch("nowt.execution.local.run", simulate), execution.lock():
        runs = [ListedRun(run.key, run.cell, run.seed) for run in plan]
        study_file = execution.record(study_to_json(study), rules=[], runs=runs)
        progress = StudyProgress(plan, console=Console(file=StringIO()))
        execution.run(RunQueue(execution.store, plan), progress, 1, study_file)


def seconds_to_first_run(study: Study, options: ExecutionOptions) -> float:
    """Return the CPU seconds from the call of ``ablate`` until it would begin the first run."""
    reached = list[float]()

    def executed(scheduler: Scheduler, placement: Placement) -> bool:
        scheduler.decide()
        reached.append(time.process_time())
        return False  # as if the user had interrupted it

    certify = patch("nowt.execution.lifecycle.certify_builtin_rules", lambda *given: None)
    with patch("nowt.execution.local.run", executed), certify:
        began = time.process_time()
        ablate(study, options, lambda line: None)
    return reached[0] - began


@contextmanager
def without_waiting() -> Iterator[None]:
    """Leave out MLflow, and waiting for the disk."""
    recorder = patch("nowt.tracking.background.Recorder.open", lambda *given: None)
    with recorder, patch("os.fsync", lambda handle: None):
        yield


def main() -> None:
    """Measure both, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="simulated runs (default: %(default)s)")
    parser.add_argument("--planned", type=int, default=5000, help="runs of the other plan (default: %(default)s)")
    args = parser.parse_args()
    with without_waiting(), TemporaryDirectory(prefix="nowt-") as folder:
        stores = (Placement(f"{folder}/{name}", device="cpu") for name in ("grow", "imports", "planned"))
        grow_options, *others = (ExecutionOptions(store, in_process=True) for store in stores)
        grow(study_of(resnet50_imagenet, len(RULES), args.runs // len(RULES)), grow_options)
        for options, cells in zip(others, (len(RULES), args.planned // len(RULES)), strict=True):
            seconds = seconds_to_first_run(study_of(digits, cells, len(RULES)), options)
        print(f"{args.planned} planned runs: the first one begins after {seconds:.2f} s of CPU time")


if __name__ == "__main__":
    main()
