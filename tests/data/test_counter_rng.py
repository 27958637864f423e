"""The counter-based generator: uniform, uncorrelated, and dependent only on key, image and repeat."""

import numpy as np

from nowt.data.counter_rng import uniforms


def test_draws_are_uniform_and_uncorrelated() -> None:
    draws = uniforms(7, np.arange(20_000), np.zeros(20_000, np.int64), 3)
    assert draws.min() >= 0 and draws.max() < 1
    assert np.abs(draws.mean(0) - 0.5).max() < 0.01 and np.abs(draws.var(0) - 1 / 12).max() < 0.002
    correlation = np.corrcoef(np.hstack([draws[:-1], draws[1:]]).T) - np.eye(6)
    assert np.abs(correlation).max() < 0.03


def test_draws_of_an_image_do_not_depend_on_its_position_in_the_batch() -> None:
    images, repeats = np.arange(50), np.arange(50) % 3
    order = np.random.default_rng(0).permutation(50)
    together = uniforms(7, images, repeats, 5)
    assert np.array_equal(uniforms(7, images[order], repeats[order], 5), together[order])
    assert np.array_equal(uniforms(7, images, repeats, 2), together[:, :2])


def test_key_image_and_repeat_each_change_the_draws() -> None:
    one, zero = np.array([1]), np.array([0])
    draws = [uniforms(k, p, r, 1).item() for k in (0, 1) for p in (zero, one) for r in (zero, one)]
    assert len(set(draws)) == 8
