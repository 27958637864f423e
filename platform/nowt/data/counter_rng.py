"""A counter-based random number generator: numbers for every image of a batch at once.

A number is a hash of (key, image, repeat, draw). The hash is the finalizer of SplitMix64 (Steele, Lea and Flood 2014,
"Fast splittable pseudorandom number generators"). The numbers of an image do not depend on its batch, on the order of
the images or on the number of processes.
"""

import numpy as np
from numpy.typing import NDArray

from nowt.data.subsets import Ints

_STEP = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's increment: 2^64 / golden ratio, odd


def uniforms(key: int, images: Ints, repeats: Ints, count: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1), shape (images, count): ``count`` draws for each image in its given repeat."""
    state = _hash(np.array([key], np.uint64))
    for values in (images, repeats):
        state = _hash(state + _STEP * (values.astype(np.uint64) + np.uint64(1)))
    counters = _STEP * np.arange(1, count + 1, dtype=np.uint64)
    bits: NDArray[np.uint64] = _hash(state[:, None] + counters) >> np.uint64(11)  # 53 bits: all a float64 holds
    return bits.astype(np.float64) * 2.0**-53


def _hash(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer, element by element, modulo 2^64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
