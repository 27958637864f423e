"""Gaps of simulated studies, for tests of statistics."""

import numpy as np
import pandas as pd

from analysis.stats.paired import t_tests

SEEDS = (3, 5, 10)

STUDIES = 20_000


def gaps_of(*cells: list[float]) -> pd.DataFrame:
    """Return the gaps of each cell, by seed."""
    rows = [(f"cell {i}", "bp", seed, gap) for i, gaps in enumerate(cells) for seed, gap in enumerate(gaps)]
    return pd.DataFrame(rows, columns=["cell", "against", "seed", "gap"])


def simulated_tests(seeds: int, true: float, studies: int = STUDIES) -> pd.DataFrame:
    """Return paired tests of simulated studies, each with one comparison, the given true gap and deviation 1."""
    drawn = np.random.default_rng(seeds).normal(true, 1, (studies, seeds))
    gaps = pd.DataFrame({"cell": np.repeat(np.arange(studies), seeds), "gap": drawn.ravel()})
    return t_tests(gaps, ["cell"])
