"""Measures the overhead of a search's trial beyond its training: nowt beside stock Ray Tune and a plain Optuna loop.

    python benchmarks/trial_overhead.py                                     16 trials of 4 epochs, three rounds
    python benchmarks/trial_overhead.py --trials 4 --epochs 1 --rounds 1    a quick test of the script
    python benchmarks/trial_overhead.py --only loop-1 nowt-2 --trials 48    the speed-up of a longer search

All contenders train the same quasi-random trials of a small network on digits under backprop, with one torch thread
(loop-2: two), in a new process. In each round all of them run once, in a rotated order.

    loop-1, loop-2         Optuna in one process, with its storage in memory
    halves                 two such processes in parallel, each with every second trial: the best that two cores can do
    nowt-1, nowt-2         nowt's search with 1 or 2 slots: logs, checkpoints, Optuna's storage, MLflow
    stock-fresh, -reused   ray.tune with OptunaSearch on two slots: one process per trial, or reuse_actors=True

The same three functions are timed in all of them, by the machine's monotonic clock. A training starts when open_data is
called and ends when train() is exhausted; the time in these two, without checkpoint.save, is its training time.

    whole           process start to process end, with imports, ray.init, databases and shutdown
    first to last   start of the first training to the end of the last: without imports, ray.init and worker startup
    between         end of a training to the start of the next in the same slot
    within          time in which a training waited for a report to be received
    saving          time of a training in checkpoint.save (only nowt saves)
    beyond          between + within + saving: the overhead of a trial; and its 90th percentile
    sooner          loop-1's time divided by the contender's, in the same round

Values per trial are medians over warm trials, which follow another in the same process (stock-fresh: all but the first
of each slot).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import optuna
from rich.console import Console
from rich.table import Table
from trainings import Training, timed

from nowt.config.placement import Placement
from nowt.config.recipes import digits
from nowt.data.datasets import open_data
from nowt.execution.runner import ExecutionOptions
from nowt.store.records import Epoch
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Range
from nowt.studies.search.run import search
from nowt.studies.search.samplers import IndependentSampler, make_sampler
from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace
from nowt.training.loop import train

STAMPS = "trainings.jsonl"

RANGES = (
    Range("optim.lr", 0.005, 0.05, log=True),
    Range("optim.weight_decay", 1e-4, 1e-2, log=True),
    Range("optim.momentum", 0.5, 0.9),
)


def space_of(trials: int, epochs: int) -> SearchSpace:
    """A search of quasi-random trials, none of which is stopped early."""
    cell = SearchCell("bp", replace(digits(), epochs=epochs, test=False), RANGES)
    return SearchSpace(
        "overhead", "What does a trial cost?", (cell,), Budget(trials), "quasi_random", EarlyStopping("none")
    )


class SameTrials(IndependentSampler):
    """The values that nowt's search of the space proposes, for whoever drives Optuna: from draw ``draw`` on, every
    ``every``-th."""

    def __init__(self, space: SearchSpace, cell: SearchCell, draw: int = 0, every: int = 1) -> None:
        super().__init__(space, cell, draw)
        self.every = every

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """The parameter's value in the draw of the trial's number."""
        draws = make_sampler(self.space, self.cell, self.draw + trial.number * self.every)
        return draws.sample_independent(study, trial, param_name, param_distribution)


def epochs_of(cell: SearchCell, values: dict[str, Any], placement: Placement) -> Iterator[Epoch]:
    """Train one trial."""
    config = cell.config_of(values)
    yield from train(config, placement, data=open_data(config.data, placement, bool(config.test)))


def loop(space: SearchSpace, store: Path, stamps: Path, threads: int, first: int = 0, every: int = 1) -> None:
    """Run a plain Optuna loop in this process, over every ``every``-th trial from ``first`` on."""
    (cell,) = space.cells

    def objective(trial: optuna.Trial) -> float:
        values = {r.name: trial.suggest_float(r.name, r.low, r.high, log=r.log) for r in RANGES}
        for epoch in epochs_of(cell, values, Placement(str(store), threads=threads)):
            trial.report(epoch.val_error, epoch.epoch)
        return epoch.val_error

    study = optuna.create_study(sampler=SameTrials(space, cell, first, every))
    trials = len(range(first, int(space.budget.amount), every))
    timed(lambda number: study.optimize(objective, number), stamps)(trials)


def halves(space: SearchSpace, store: Path, stamps: Path) -> None:
    """Run two plain loops in parallel, in separate processes without communication."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(partial(loop, space, store, stamps, 1), (0, 1), (2, 2)))


def with_nowt(space: SearchSpace, store: Path, stamps: Path, slots: int) -> None:
    """Run nowt's search, with its worker function timed."""
    from nowt.execution import ray_tune

    with patch.object(ray_tune, "_run_trial", timed(ray_tune._run_trial, stamps)):
        search(space, ExecutionOptions(Placement(str(store), slots=slots)), print)


def with_stock_tune(space: SearchSpace, store: Path, stamps: Path, reuse: bool) -> None:
    """Run Ray Tune with its OptunaSearch, on two slots."""
    from ray import init, tune
    from ray.tune.search.optuna import OptunaSearch

    (cell,) = space.cells

    def work(values: dict[str, Any]) -> None:
        for epoch in epochs_of(cell, values, Placement(str(store))):
            tune.report({"error": epoch.val_error})

    init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    domains = {r.name: optuna.distributions.FloatDistribution(r.low, r.high, log=r.log) for r in RANGES}
    searcher = OptunaSearch(domains, metric="error", mode="min", sampler=SameTrials(space, cell))
    how = tune.TuneConfig(search_alg=searcher, num_samples=int(space.budget.amount), reuse_actors=reuse)
    tune.Tuner(timed(work, stamps), tune_config=how, run_config=tune.RunConfig(storage_path=str(store))).fit()


CONTENDERS: dict[str, tuple[Callable[[SearchSpace, Path, Path], None], int]] = {  # and the slots of each
    "loop-1": (partial(loop, threads=1), 1),
    "loop-2": (partial(loop, threads=2), 1),
    "halves": (halves, 2),
    "nowt-1": (partial(with_nowt, slots=1), 1),
    "nowt-2": (partial(with_nowt, slots=2), 2),
    "stock-fresh": (partial(with_stock_tune, reuse=False), 2),
    "stock-reused": (partial(with_stock_tune, reuse=True), 2),
}


def measure(name: str, options: argparse.Namespace) -> tuple[float, list[Training]]:
    """Return the seconds of a contender's process, and its trainings."""
    with TemporaryDirectory(prefix="nowt-", ignore_cleanup_errors=True) as folder:
        size = [f"--trials={options.trials}", f"--epochs={options.epochs}"]
        command = [sys.executable, __file__, *size, "--child", name, folder]
        (Path(folder) / STAMPS).touch()
        around = {**os.environ, "RAY_TMPDIR": folder, "RAY_ADDRESS": "local"}
        started = time.monotonic()
        done = subprocess.run(command, env=around, capture_output=True, text=True)
        whole = time.monotonic() - started
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return whole, [Training(**json.loads(line)) for line in (Path(folder) / STAMPS).read_text().splitlines()]


def followers(trainings: list[Training], slots: int) -> list[tuple[Training, Training]]:
    """Pair each training with the previous one in its slot.

    That is the previous one of its process or, if a new process took the slot, the one that ended first.
    """
    last: dict[int, Training] = {}
    pairs = []
    for training in sorted(trainings, key=lambda t: t.begin):
        place = training.process
        if place not in last and len(last) >= slots:
            place = min(last, key=lambda p: last[p].end)
        if place in last:
            pairs.append((last.pop(place), training))
        last[training.process] = training
    return pairs


def summary(whole: float, trainings: list[Training], slots: int) -> dict[str, float]:
    """A contender's row in one round."""
    pairs = followers(trainings, slots)
    warm = [(before, after) for before, after in pairs if before.process == after.process]
    counted = [(b.begin - a.end, b.end - b.begin - b.busy, b.saving, b.busy - b.saving) for a, b in warm or pairs]
    between, within, saving, training = (float(median(column)) for column in zip(*counted, strict=True))
    run = max(t.end for t in trainings) - min(t.begin for t in trainings)
    beyond = [sum(seconds[:3]) for seconds in counted]
    row = {"whole": whole, "first to last": run, "warm trials": len(warm), "training": training, "between": between}
    row |= {"within": within, "saving": saving}
    return row | {"beyond": median(beyond), "beyond, 90 %": float(np.quantile(beyond, 0.9))}


def rounds(options: argparse.Namespace, console: Console) -> dict[str, list[dict[str, float]]]:
    """Return all rows, with the contenders alternating. Raises SystemExit if two trained different trials."""
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in options.only}
    trained = set()
    for turn in range(options.rounds):
        for name in [*rows, *rows][turn % len(rows) :][: len(rows)]:
            whole, trainings = measure(name, options)
            trained.add(tuple(sorted(t.config for t in trainings)))
            if len(trained) > 1 or len(trainings) != options.trials:
                sys.exit(f"{name} trained {len(trainings)} of {options.trials} trials to their end, or other trials")
            rows[name].append(summary(whole, trainings, CONTENDERS[name][1]))
            console.print(f"round {turn + 1} of {options.rounds}, {name}: {whole:.1f} s", highlight=False)
    return rows


def table(rows: dict[str, list[dict[str, float]]]) -> Table:
    """Medians over rounds, and the speed-up over loop-1."""
    shown = Table("contender", title="seconds, medians over rounds")
    columns = [*next(iter(rows.values()))[0]]
    for title in (*columns, "whole, sooner", "first to last, sooner"):
        shown.add_column(title, justify="right")
    for name, found in rows.items():
        cells = [f"{median(row[c] for row in found):.{0 if c == 'warm trials' else 3}f}" for c in columns]
        for column in ("whole", "first to last"):
            ratios = [loop_1[column] / row[column] for loop_1, row in zip(rows.get("loop-1", ()), found, strict=False)]
            cells.append(f"{median(ratios):.2f}" if ratios else "")
        shown.add_row(name, *cells)
    return shown


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=4, help="of each trial")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS), metavar="CONTENDER")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)  # a contender, and a folder for all that it writes
    options = parser.parse_args()
    if options.trials < 3 or options.epochs < 1 or options.rounds < 1:
        parser.error("--trials must be at least 3, so that two slots have a warm one, --epochs and --rounds at least 1")
    return options


def main() -> None:
    """Print the table; as a child process, run one contender."""
    options = parse()
    if options.child:
        name, folder = options.child
        CONTENDERS[name][0](space_of(options.trials, options.epochs), Path(folder), Path(folder) / STAMPS)
        return
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table(rounds(options, console)))


if __name__ == "__main__":
    main()
