"""Fields without effect, and the values that are tried for each field."""

from typing import Literal

from nowt.evaluation.certify.unused_fields import other_values
from tests.support.broken_rules import BROKEN
from tests.support.certificates import certificate_of, measured


def test_other_values_of_a_field_follow_from_its_type() -> None:
    assert other_values(Literal["a", "b", "c"], "b") == ["a", "c"]
    assert other_values(bool, True) == [False]
    assert 2.0 in other_values(float, 1.0) and 1.0 not in other_values(float, 1.0)
    assert other_values(float | None, 30.0)[0] is None
    assert (1,) not in other_values(tuple[int, ...], ()) and (2,) in other_values(tuple[int, ...], ())
    assert other_values(str, "anything") == []


def test_an_unused_field_is_named() -> None:
    by_name = {rule.__name__: rule for rule in BROKEN}
    assert measured(certificate_of(by_name["UnusedField"]()), "fields") == "without effect: patience (never read)"
