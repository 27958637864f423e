"""Early stopping: the epochs of rungs, and which trials stop at one."""

import random
from dataclasses import replace

import pytest

from nowt.config.recipes import digits
from nowt.config.run_config import OptimConfig
from nowt.rules.registry import find_rule
from nowt.studies.search.early_stopping import first_rung, rungs, should_stop
from nowt.studies.search.space import EarlyStopping


@pytest.mark.parametrize(
    ("stopping", "first", "epochs", "expected"),
    [
        (EarlyStopping("halving"), 1, 27, (1, 3, 9)),
        (EarlyStopping("halving"), 1, 28, (1, 3, 9, 27)),
        (EarlyStopping("halving", factor=2), 3, 12, (3, 6)),
        (EarlyStopping("halving"), 10, 10, ()),
        (EarlyStopping("median"), 3, 6, (3, 4, 5)),
        (EarlyStopping("none"), 1, 27, ()),
    ],
)
def test_rungs_never_fall_on_the_last_epoch(
    stopping: EarlyStopping, first: int, epochs: int, expected: tuple[int, ...]
) -> None:
    assert rungs(stopping, first, epochs) == expected


def test_halving_continues_the_best_third() -> None:
    errors = [0.1 * k for k in range(9)]
    passed = [e for e in errors if not should_stop(EarlyStopping(), e, [o for o in errors if o != e])]
    assert passed == errors[:3]


def test_the_first_trial_at_a_rung_continues_and_a_second_only_if_it_is_as_good() -> None:
    assert not should_stop(EarlyStopping(), 0.9, [])
    assert not should_stop(EarlyStopping(), 0.5, [0.5]) and should_stop(EarlyStopping(), 0.6, [0.5])


def test_median_stops_the_worse_half() -> None:
    median = EarlyStopping("median")
    assert should_stop(median, 0.31, [0.1, 0.3, 0.5]) and not should_stop(median, 0.3, [0.1, 0.3, 0.5])


def test_the_order_of_the_other_trials_does_not_matter() -> None:
    shuffler, others = random.Random(0), [0.1, 0.5, 0.3, 0.9, 0.2, 0.2]
    for kind in ("halving", "median"):
        for value in (0.05, 0.2, 0.25, 0.6):
            expected = should_stop(EarlyStopping(kind), value, others)  # type: ignore[arg-type]
            assert all(
                should_stop(EarlyStopping(kind), value, shuffler.sample(others, 6)) == expected  # type: ignore[arg-type]
                for _ in range(20)
            )


def test_the_default_first_rung_is_when_kp_can_align_under_the_schedule() -> None:
    config = replace(digits(find_rule("kp")()), epochs=10)
    assert first_rung(EarlyStopping(), config, 157) == 3
    slow = replace(config, optim=OptimConfig(lr=0.05, weight_decay=1e-5))
    assert first_rung(EarlyStopping(), slow, 157) == 10  # never: no trial is stopped
    assert first_rung(EarlyStopping(first_rung=2), slow, 157) == 2
