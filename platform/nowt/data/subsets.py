"""Chooses subsets of a data set. A choice is the same for every run, unless it is drawn by the run's seed.

Every image has a rank within its class, in an order drawn from a constant. A choice takes the images of lowest
rank, so a smaller choice for the same purpose is always contained in a larger one.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from nowt.core.seeding import generator

SPLIT_SEED = 1811_10825  # a constant, because fixed splits belong to the data set, not to the run

Ints = NDArray[np.int64]


def stratified(labels: Ints, count: int, purpose: str, seed: int | None = None) -> Ints:
    """Return the indices of ``count`` images, from every class in proportion to its size; ascending.

    ``seed`` draws a choice of its own; None is the fixed one.
    """
    sizes = np.bincount(labels)[labels]
    return _lowest((_rank_in_class(labels, purpose, seed) + 0.5) / sizes, count)


def balanced(labels: Ints, count: int, purpose: str, seed: int | None = None) -> Ints:
    """Return the indices of ``count`` images, equally many from every class where possible; ascending.

    ``seed`` draws a choice of its own; None is the fixed one.
    """
    return _lowest(_rank_in_class(labels, purpose, seed), count)


def complement(total: int, chosen: Ints) -> Ints:
    """Return the indices below ``total`` that were not chosen; ascending."""
    return np.setdiff1d(np.arange(total), chosen)


def _rank_in_class(labels: Ints, purpose: str, seed: int | None) -> Ints:
    """Return the rank of each image within its class, 0 to (class size - 1), in a random order."""
    name = () if seed is None else (seed,)
    drawn = torch.randperm(len(labels), generator=generator(SPLIT_SEED, "split", purpose, *name)).numpy()
    by_class = drawn[np.argsort(labels[drawn], kind="stable")]
    firsts = np.cumsum(np.bincount(labels)) - np.bincount(labels)
    ranks = np.empty(len(labels), np.int64)
    ranks[by_class] = np.arange(len(labels)) - firsts[labels[by_class]]
    return ranks


def _lowest(scores: NDArray[np.generic], count: int) -> Ints:
    return np.sort(np.argsort(scores, kind="stable")[:count])
