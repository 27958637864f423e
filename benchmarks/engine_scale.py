"""Measures the overhead of the study engine as a store grows: 628 settings × 5 rules (Kunin et al. 2020), simulated.

Every simulated trial reports its epochs at once, so the measured time is the engine's own: proposals and states in
Optuna's sqlite database, epoch logs with their fsyncs, the study file, and decisions. MLflow is written by its own
thread and not waited for; with ``--record`` it runs, too, and the time until it is done is printed.

    python benchmarks/engine_scale.py --trials 628 --epochs 10
    python benchmarks/engine_scale.py --trials 4 --epochs 2                 a quick test of the script

Limits: at most 1 % of the wall time of trials that take a minute on two slots; at most 3 s to resume (without imports
and Ray); and no growth of the cost per report with the number of trials.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from nowt.config.recipes import digits
from nowt.config.run_config import RunConfig
from nowt.execution.run_queue import RunQueue
from nowt.rules.registry import find_rule
from nowt.store.records import Epoch, Layer, epoch_to_json
from nowt.store.study_file import write_study_file
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Range
from nowt.studies.search.scheduler import SearchScheduler
from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace, space_to_json
from nowt.studies.search.trial_storage import TrialStorage
from nowt.tracking.background import record_in_background

IMAGES = {"fingerprint": "f", "classes": 10, "training": 1294, "skipped": [], "not_replaced": []}

MINUTE, SLOTS = 60.0, 2

LAYERS = tuple(Layer(f"layer{i}", i, 45.0, 45.0, 1.0) for i in range(20))


@dataclass
class Timed:
    """Seconds of each trial's start and end, and of each report, in chronological order."""

    trials: list[float] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)


def build_space(trials: int, epochs: int, sampler: Any) -> SearchSpace:
    """A search space of five rules with four parameters each."""
    config = replace(digits(), test=False, epochs=epochs)
    params = (
        Range("optim.lr", 0.005, 0.5, log=True),
        Range("optim.weight_decay", 1e-4, 1e-2, log=True),
        Range("optim.momentum", 0.5, 0.97),
        Range("optim.warmup", 0.0, 1.0),
    )
    cells = tuple(SearchCell(n, _with_rule(config, n), params) for n in ("bp", "fa", "ss", "wm", "kp"))
    return SearchSpace(
        "scale", "What does it cost?", cells, Budget(trials), sampler=sampler, stopping=EarlyStopping("none")
    )


def _with_rule(config: RunConfig, name: str) -> RunConfig:
    return replace(config, rule=find_rule(name)())


@contextmanager
def engine(space: SearchSpace, store: Path, record: bool) -> Iterator[SearchScheduler]:
    """Open the engine on ``store``, with everything recorded so far."""
    study_file, _ = write_study_file(store, space.key, space_to_json(space))
    images, rungs = {c.name: IMAGES for c in space.cells}, {c.name: () for c in space.cells}
    with ExitStack() as stack:
        trials = stack.enter_context(TrialStorage.connect(space, f"sqlite:///{store}/optuna.db"))
        kept = stack.enter_context(record_in_background(store, study_file)) if record else None
        ledger = RunQueue(store, (), lambda planned, run: kept and kept.update(run, planned.cell, planned.seed))
        scheduler = SearchScheduler(space, ledger, trials, images, rungs, study_file)
        scheduler.load_results()
        yield scheduler


def run_trials(scheduler: SearchScheduler, epochs: int) -> Timed:
    """Run every trial to its end."""
    timed = Timed()
    while True:
        started = time.perf_counter()
        if (decision := scheduler.decide()).do != "start":
            return timed
        scheduler.begin(decision.key)
        scheduler.receive(decision.key, {"kind": "start"})
        between = time.perf_counter() - started
        for epoch in range(epochs + 1):
            timed.reports.append(_seconds(scheduler, decision.key, {"kind": "epoch", "epoch": simulated_epoch(epoch)}))
        end = {"kind": "end", "state": "finished", "reason": ""}
        timed.trials.append(between + _seconds(scheduler, decision.key, end))


def simulated_epoch(epoch: int) -> dict[str, Any]:
    """An epoch of a simulated run that learns."""
    error = 0.9 * 0.8**epoch
    record = Epoch(
        epoch, 160 * epoch, 0.1, 1.0, error, 1.0, error, 1.0, error, 5176 * epoch, 0, 1e9 * epoch, 6.0 * epoch, 0
    )
    return epoch_to_json(replace(record, layers=LAYERS))


def _seconds(scheduler: SearchScheduler, key: str, message: dict[str, Any]) -> float:
    started = time.perf_counter()
    scheduler.receive(key, message)
    return time.perf_counter() - started


def median_tenths(seconds: list[float]) -> tuple[float, float]:
    """Medians of the first and of the last tenth, in milliseconds."""
    tenth = max(1, len(seconds) // 10)
    return 1e3 * statistics.median(seconds[:tenth]), 1e3 * statistics.median(seconds[-tenth:])


def measure(trials: int, epochs: int, sampler: str, record: bool, store: Path) -> Table:
    """Fill the store, resume, and return a table of what each costs."""
    space = build_space(trials, epochs, sampler)
    with engine(space, store, record) as scheduler:
        started = time.perf_counter()
        timed = run_trials(scheduler, epochs)
        total = time.perf_counter() - started
    recorded = time.perf_counter() - started - total
    started = time.perf_counter()
    with engine(space, store, record) as scheduler:
        again = time.perf_counter() - started
        assert scheduler.done
    recorded_again = time.perf_counter() - started - again
    count = trials * len(space.cells)
    table = Table("what", "measured", "limit", box=None, pad_edge=False, title=f"{count} trials, {sampler}")
    share = total / (count * MINUTE / SLOTS)
    table.add_row("engine, share of the wall time of one-minute trials", f"{100 * share:.2f} %", "1 %")
    first, last = median_tenths(timed.reports)
    table.add_row("report, first and last tenth", f"{first:.2f}, {last:.2f} ms (ratio {last / first:.2f})", "no growth")
    first, last = median_tenths(timed.trials)
    table.add_row("start and end of a trial, first and last tenth", f"{first:.1f}, {last:.1f} ms", "")
    table.add_row("resuming", f"{again:.2f} s", "3 s")
    if record:
        table.add_row(
            "MLflow: time until done after the last trial, and after resuming",
            f"{recorded:.1f}, {recorded_again:.1f} s",
            "",
        )
    return table


def main() -> None:
    """Measure each sampler on a new store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=628, help="trials per rule (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="epochs per trial (default: %(default)s)")
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--record", action="store_true", help="also write to MLflow")
    args = parser.parse_args()
    for sampler in args.samplers:
        with TemporaryDirectory() as folder:
            Console().print(measure(args.trials, args.epochs, sampler, args.record, Path(folder)))


if __name__ == "__main__":
    main()
