"""A study is checked when it is built."""

import pytest

from nowt.config.recipes import digits
from nowt.core.errors import ConfigError
from nowt.rules.kolen_pollack import KolenPollack
from nowt.studies.study import Cell, Study

CELLS = (Cell("bp", digits()), Cell("kp decay", digits(KolenPollack())))


@pytest.mark.parametrize(
    ("reference", "hint"),
    [("backprop", " (did you mean bp?)"), ("kp_decay", " (did you mean kp decay?)"), ("x", "")],
)
def test_a_reference_that_is_not_a_cell_is_refused(reference: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study("s", "?", CELLS, (0,), reference=reference)
    assert str(caught.value) == f"study s: reference {reference!r} is not one of its cells{hint}: bp, kp decay"


def test_a_study_without_bp_that_leaves_the_default_has_no_reference() -> None:
    assert Study("s", "?", CELLS[1:], (0,)).reference == "bp"


def test_a_single_seed_or_cell_instead_of_a_tuple_is_refused_by_its_field() -> None:
    with pytest.raises(ConfigError, match=r"study s: seeds is 3: it must be a tuple such as \(0, 1, 2\)"):
        Study("s", "?", CELLS, 3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="study s: cells must be a tuple such as"):
        Study("s", "?", CELLS[0], (0,))  # type: ignore[arg-type]
