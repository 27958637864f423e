"""The expected decay of W − B under each optimizer."""

import pytest

from nowt.config.run_config import OptimConfig
from nowt.evaluation.certify.kolen_pollack import decay_factor


def test_plain_sgd_shrinks_geometrically() -> None:
    sgd = OptimConfig(lr=0.1, momentum=0.0, weight_decay=1e-4, schedule="constant")
    assert decay_factor(sgd, 100) == pytest.approx((1 - 1e-5) ** 100)


def test_momentum_follows_its_recurrence() -> None:
    momentum = OptimConfig(lr=0.1, momentum=0.9, weight_decay=1e-4, schedule="constant")
    assert decay_factor(momentum, 5005) / decay_factor(momentum, 5004) == pytest.approx(0.99989991, abs=1e-8)
    assert decay_factor(momentum, 5005) == pytest.approx(0.6059, abs=1e-3)  # an ImageNet epoch at batch 256


def test_the_first_step_of_nesterov_looks_ahead() -> None:
    # v = λD, so D becomes (1 − ηλ(1 + μ)) D
    nesterov = OptimConfig(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.5, schedule="constant")
    assert decay_factor(nesterov, 1) == pytest.approx(1 - 0.05 * 1.9)
