"""How close searches come to the best setting at equal budget: nowt beside its peers, on recorded trials.

    python benchmarks/search_quality.py                                    20 repeats, on two cores
    python benchmarks/search_quality.py --repeats 2 --only nowt random     a quick test of the script
    python benchmarks/search_quality.py --record STORE SPACE               write the table of a space's trials

A search trains one trial after another on a surrogate: the learning curve of a setting is that of the nearest recorded
trials. The budget counts epochs; the whole budget is as many as the recorded trials of a cell have. The regret is the
difference, in percentage points of validation error, between the best trial that was trained to its last epoch and the
best recorded one. In each repeat, a method searches every cell once; the mean regret over the cells counts.

    nowt         the default search: TPE with successive halving, driven by nowt's scheduler
    optuna       TPESampler with HyperbandPruner
    random       complete trials at random
    asha         Syne Tune's ASHA, if it is installed
    bohb         Syne Tune's BOHB, if it is installed and --only names it: 20 repeats take a quarter of an hour
    ax           Ax, complete trials, if it is installed and --only names it: one repeat takes a quarter of an hour

Each method has its own defaults. Intervals are 95 % bootstrap intervals of the median over the repeats.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median

from image_loading import interval_of_median
from searches import peers, with_nowt
from searches.meter import BudgetSpent, Meter
from searches.recorded import Table, read_table, write_table
from searches.surrogate import Surrogate

from nowt.studies.lookup import find_space
from nowt.studies.search.space import SearchSpace

TABLES = Path(__file__).parent / "searches" / "trials"

SPACES = ("fair_rules", "tuned_rules")

SHARES = (0.25, 0.5, 1.0)  # of the budget

METHODS: dict[str, Callable[[Meter, int], None]] = {
    "nowt": with_nowt.search,
    "optuna": peers.optuna_search,
    "random": peers.random_search,
    "asha": peers.syne_tune_asha,
    "bohb": peers.syne_tune_bohb,
    "ax": peers.ax_search,
}

PACKAGES = {"asha": ("syne_tune", "syne-tune"), "bohb": ("syne_tune", "syne-tune"), "ax": ("ax", "ax-platform")}

SLOW = ("bohb", "ax")  # not measured unless --only names them

Regrets = dict[str, list[list[float]]]  # by method: for each repeat, the regret at each of SHARES, in points


@dataclass(frozen=True)
class Search:
    """One search of one cell."""

    path: Path  # of the table
    method: str
    cell: str
    seed: int

    def regrets(self) -> list[float]:
        """Run it; return its regret at each of SHARES, in percentage points."""
        table, space = opened(self.path)
        cell = next(cell for cell in space.cells if cell.name == self.cell)
        surrogate = Surrogate(cell, table.trials[self.cell])
        meter = Meter(surrogate, table.facts["training"], len(surrogate.trials) * surrogate.epochs)
        with suppress(BudgetSpent):
            METHODS[self.method](meter, self.seed)
        return [100 * meter.regret(share) for share in SHARES]


@cache
def opened(path: Path) -> tuple[Table, SearchSpace]:
    """Return the table at ``path``, and its space."""
    space = find_space(path.stem)
    return read_table(path, space), space


def measure(path: Path, methods: Sequence[str], repeats: int, processes: int) -> Regrets:
    """Run all searches of a table."""
    cells = [name for name, trials in opened(path)[0].trials.items() if trials]
    plan = [Search(path, method, cell, seed) for method in methods for seed in range(repeats) for cell in cells]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        found = dict(zip(plan, pool.map(Search.regrets, plan), strict=True))
    regrets: Regrets = {}
    for method in methods:
        of_cells = [[found[Search(path, method, cell, seed)] for cell in cells] for seed in range(repeats)]
        regrets[method] = [[fmean(column) for column in zip(*rows, strict=True)] for rows in of_cells]
    return regrets


def markdown(regrets: Regrets) -> str:
    """Return the table of regrets, and of the paired differences to the first method."""
    first = next(iter(regrets))
    shares = [f"{100 * share:.0f} %" for share in SHARES]
    head = ["method", *(f"regret at {share}" for share in shares), *(f"minus {first} at {share}" for share in shares)]
    lines = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    for method, rows in regrets.items():
        differences = [[a - b for a, b in zip(x, y, strict=True)] for x, y in zip(rows, regrets[first], strict=True)]
        others = ["reference"] * len(SHARES) if method == first else _medians(differences, "+.2f")
        lines.append(f"| {' | '.join([method, *_medians(rows, '.2f'), *others])} |")
    return "\n".join(lines)


def _medians(rows: Sequence[Sequence[float]], form: str) -> list[str]:
    """Return the median of each column, with its interval."""
    found = []
    for column in zip(*rows, strict=True):
        low, high = interval_of_median(list(column))
        found.append(f"{median(column):{form}} ({low:{form}} to {high:{form}})")
    return found


def fidelity(path: Path) -> str:
    """Return a line on the table, and on how well the surrogate ranks trials that it does not know."""
    table, space = opened(path)
    surrogates = {
        cell.name: Surrogate(cell, table.trials[cell.name]) for cell in space.cells if table.trials[cell.name]
    }
    counts = ", ".join(f"{len(surrogate.trials)} of {name}" for name, surrogate in surrogates.items())
    ranks = ", ".join(f"{name} {surrogate.rank_correlation():.2f}" for name, surrogate in surrogates.items())
    return f"{space.name}: {counts}. Rank correlation of the surrogate with left-out trials: {ranks}."


def available(wanted: Sequence[str]) -> list[str]:
    """Return the methods that are installed, and say which are not."""
    missing = {name: PACKAGES[name] for name in wanted if name in PACKAGES and not find_spec(PACKAGES[name][0])}
    for name, (_, package) in missing.items():
        print(f"{name} is left out: {package} is not installed (pip install {package})", file=sys.stderr)
    return [name for name in wanted if name not in missing]


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20, help="searches of each cell (default: %(default)s)")
    default = [name for name in METHODS if name not in SLOW]
    parser.add_argument(
        "--only", nargs="+", choices=list(METHODS), default=default, help="methods, the reference first"
    )
    parser.add_argument("--processes", type=int, default=2, help="searches at a time (default: %(default)s)")
    paths = [TABLES / f"{space}.jsonl" for space in SPACES]
    parser.add_argument(
        "--tables", nargs="+", type=Path, default=paths, help="files SPACE.jsonl (default: the shipped)"
    )
    parser.add_argument("--record", nargs=2, metavar=("STORE", "SPACE"), help="write a table, and measure nothing")
    return parser.parse_args()


def main() -> None:
    """Measure and print a table for each space; or record one."""
    options = parse()
    if options.record:
        store, space = options.record
        write_table(Path(store), find_space(space), TABLES / f"{space}.jsonl")
        return
    methods = available(options.only)
    for path in options.tables:
        if not path.exists():
            print(f"{path.stem} is left out: no trials are recorded in {path}", file=sys.stderr)
            continue
        print(markdown(measure(path, methods, options.repeats, options.processes)))
        print(f"\n{fidelity(path)}\n")


if __name__ == "__main__":
    main()
