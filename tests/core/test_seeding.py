"""Random streams: a generator is a pure function of (seed, purpose, name)."""

import subprocess
import sys
from itertools import combinations

import torch

from nowt.core.seeding import Seeds, generator, seed_of

NAMES = [
    (0, "feedback"),
    (1, "feedback"),
    (-1, "feedback"),
    (None, "feedback"),
    (0, "weights"),
    (0, "feedback", "conv1"),
    (0, "feedback", "conv2"),
    (0, "feedback", "conv1", 0),
    (0, "feedback", "conv1", 1),
    (0, "feedback", "conv1", "1"),
    (0, "feedback", "conv1, 1"),
    (0, "feedbackconv1"),
]


def test_the_same_arguments_always_give_the_same_stream() -> None:
    for name in NAMES:
        assert torch.equal(torch.rand(5, generator=generator(*name)), torch.rand(5, generator=generator(*name)))  # type: ignore[arg-type]


def test_different_arguments_give_different_streams() -> None:
    for one, other in combinations(NAMES, 2):
        assert seed_of(*one) != seed_of(*other), (one, other)  # type: ignore[arg-type]


def test_a_stream_is_the_same_in_every_process() -> None:
    code = "from nowt.core.seeding import seed_of; print(seed_of(3, 'mirror', 'layer1.0.conv1', 17))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(found) == seed_of(3, "mirror", "layer1.0.conv1", 17)


def test_a_seed_fits_in_63_bits() -> None:
    assert all(0 <= seed_of(k, "order", k) < 2**63 for k in range(1000))


def test_drawing_neither_changes_nor_uses_the_global_generator() -> None:
    before, first = torch.random.get_rng_state(), torch.rand(3, generator=generator(0, "order", 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    assert torch.equal(torch.rand(3, generator=generator(0, "order", 1)), first)


def test_the_seed_of_the_run_sets_every_purpose_that_is_not_fixed() -> None:
    assert Seeds().resolve(7) == Seeds(7, 7, 7, 7, 7)
    assert Seeds(weights=0, noise=3).resolve(7) == Seeds(weights=0, feedback=7, order=7, crops=7, noise=3)
