"""The global random states of torch, Python and NumPy, which a custom model or rule may draw from."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def seed_all(seed: int) -> None:
    """Seed torch on all devices, Python and NumPy."""
    torch.manual_seed(seed)
    _seed_others(seed)


def seed_cpu(seed: int) -> None:
    """Seed torch on the CPU, Python and NumPy.

    ``torch.manual_seed`` would also note a stack trace for each kind of GPU, which takes as long as the step of a small
    network.
    """
    torch.default_generator.manual_seed(seed)
    _seed_others(seed)


@contextmanager
def preserved_random_state(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Restore the three random states after the block. A ``seed`` sets all of them before it."""
    numpy = _numpy_random()
    python_state, numpy_state = random.getstate(), numpy.get_state() if numpy else None
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            if seed is not None:
                (seed_cpu if device.type == "cpu" else seed_all)(seed)
            yield
    finally:
        random.setstate(python_state)
        if numpy:
            numpy.set_state(numpy_state)


def _seed_others(seed: int) -> None:
    random.seed(seed)
    if numpy := _numpy_random():
        numpy.seed(seed % 2**32)


def _numpy_random() -> Any:
    """Return ``numpy.random``; None if NumPy was not imported, so that nothing has drawn from it."""
    return sys.modules["numpy"].random if "numpy" in sys.modules else None
