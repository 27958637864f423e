"""What the study engine itself costs as a store grows: the 628 settings x 5 rules of Kunin et al. (2020), faked.

Every trial tells its epochs at once, so that all the time is the engine's own: proposals and states in Optuna's sqlite,
epoch logs with their syncs, the study file, the decision what comes next. MLflow is written by a thread of its own and
is not waited for (``--record`` lets it run along and says when it was done).

    python benchmarks/engine_scale.py --trials 628 --epochs 10

Promised: at most 1 % of the wall time of trials that take a minute on two slots, at most 3 s to start again (imports
and Ray aside), and no growth of the cost per report with the number of trials.
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
from nowt.studies.search.driver import SearchDriver
from nowt.studies.search.params import Range
from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace, space_to_json
from nowt.studies.search.trial_storage import TrialStorage
from nowt.tracking.background import record_in_background

PICTURES = {"fingerprint": "f", "classes": 10, "training": 1294, "skipped": [], "not_replaced": []}

MINUTE, SLOTS = 60.0, 2

LAYERS = tuple(Layer(f"layer{i}", i, 45.0, 45.0, 1.0) for i in range(20))


@dataclass
class Timed:
    """Seconds of each trial's begin and end, and of each report, in the order in which they came."""

    trials: list[float] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)


def the_space(trials: int, epochs: int, sampler: Any) -> SearchSpace:
    """Five rules that vary four settings."""
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
def engine(space: SearchSpace, store: Path, record: bool) -> Iterator[SearchDriver]:
    """The engine on ``store``, everything that it remembers taken in."""
    study_file, _ = write_study_file(store, space.key, space_to_json(space))
    pictures, rungs = {c.name: PICTURES for c in space.cells}, {c.name: () for c in space.cells}
    with ExitStack() as stack:
        trials = stack.enter_context(TrialStorage.at(space, f"sqlite:///{store}/optuna.db"))
        kept = stack.enter_context(record_in_background(store, study_file)) if record else None
        ledger = RunQueue(store, (), lambda planned, run: kept and kept.update(run, planned.cell, planned.seed))
        driver = SearchDriver(space, ledger, trials, pictures, rungs, study_file)
        driver.recall()
        yield driver


def run_all(driver: SearchDriver, epochs: int) -> Timed:
    """Every trial to its end."""
    timed = Timed()
    while True:
        begun = time.perf_counter()
        if (decision := driver.decide()).do != "start":
            return timed
        driver.begin(decision.key)
        driver.hear(decision.key, {"kind": "start"})
        between = time.perf_counter() - begun
        for epoch in range(epochs + 1):
            timed.reports.append(_seconds(driver, decision.key, {"kind": "epoch", "epoch": faked(epoch)}))
        end = {"kind": "end", "state": "finished", "reason": ""}
        timed.trials.append(between + _seconds(driver, decision.key, end))


def faked(epoch: int) -> dict[str, Any]:
    """An epoch of a run that learns."""
    error = 0.9 * 0.8**epoch
    told = Epoch(
        epoch, 160 * epoch, 0.1, 1.0, error, 1.0, error, 1.0, error, 5176 * epoch, 0, 1e9 * epoch, 6.0 * epoch, 0
    )
    return epoch_to_json(replace(told, layers=LAYERS))


def _seconds(driver: SearchDriver, key: str, message: dict[str, Any]) -> float:
    begun = time.perf_counter()
    driver.hear(key, message)
    return time.perf_counter() - begun


def tenths(seconds: list[float]) -> tuple[float, float]:
    """Medians of the first and of the last tenth, in milliseconds."""
    tenth = max(1, len(seconds) // 10)
    return 1e3 * statistics.median(seconds[:tenth]), 1e3 * statistics.median(seconds[-tenth:])


def measure(trials: int, epochs: int, sampler: str, record: bool, store: Path) -> Table:
    """Fill the store, start again, and say what each cost."""
    space = the_space(trials, epochs, sampler)
    with engine(space, store, record) as driver:
        begun = time.perf_counter()
        timed = run_all(driver, epochs)
        whole = time.perf_counter() - begun
    recorded = time.perf_counter() - begun - whole
    begun = time.perf_counter()
    with engine(space, store, record) as driver:
        again = time.perf_counter() - begun
        assert driver.done
    recalled = time.perf_counter() - begun - again
    count = trials * len(space.cells)
    table = Table("what", "measured", "promised", box=None, pad_edge=False, title=f"{count} trials, {sampler}")
    share = whole / (count * MINUTE / SLOTS)
    table.add_row("engine, of the wall time of trials of a minute", f"{100 * share:.2f} %", "1 %")
    first, last = tenths(timed.reports)
    table.add_row(
        "a report, first and last tenth", f"{first:.2f}, {last:.2f} ms (ratio {last / first:.2f})", "no growth"
    )
    first, last = tenths(timed.trials)
    table.add_row("a trial's begin and end, first and last tenth", f"{first:.1f}, {last:.1f} ms", "")
    table.add_row("starting again", f"{again:.2f} s", "3 s")
    if record:
        table.add_row(
            "MLflow done after the last trial, and after starting again", f"{recorded:.1f}, {recalled:.1f} s", ""
        )
    return table


def main() -> None:
    """Measure each sampler on a store of its own."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--trials", type=int, default=628, help="of each of the five rules (default: 628)")
    words.add_argument("--epochs", type=int, default=10, help="of a trial (default: 10)")
    words.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    words.add_argument("--record", action="store_true", help="let MLflow be written along")
    typed = words.parse_args()
    for sampler in typed.samplers:
        with TemporaryDirectory() as folder:
            Console().print(measure(typed.trials, typed.epochs, sampler, typed.record, Path(folder)))


if __name__ == "__main__":
    main()
