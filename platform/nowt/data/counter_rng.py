"""Random numbers for each picture of a batch at once, without a generator for each.

A counter-based generator: a number is a hash of (key, picture, repeat, which draw), with the finaliser of
SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators") as the hash. Nothing
drawn depends on the batch a picture is in, on the order of the pictures or on how many processes draw.
"""

import numpy as np
from numpy.typing import NDArray

from nowt.data.subsets import Ints

_STEP = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's increment: 2^64 / golden ratio, odd


def uniforms(key: int, pictures: Ints, repeats: Ints, count: int) -> NDArray[np.float64]:
    """Numbers in [0, 1), shape (pictures, count): ``count`` draws for each picture in its given repeat."""
    state = _hash(np.array([key], np.uint64))
    for name in (pictures, repeats):
        state = _hash(state + _STEP * (name.astype(np.uint64) + np.uint64(1)))
    counters = _STEP * np.arange(1, count + 1, dtype=np.uint64)
    bits: NDArray[np.uint64] = _hash(state[:, None] + counters) >> np.uint64(11)  # 53 bits: all a float64 holds
    return bits.astype(np.float64) * 2.0**-53


def _hash(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser, element by element; wraps around at 2^64 as it should."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
