"""Fields without effect, and the values that are tried for each field."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from nowt.evaluation.certify.certificate import Check
from nowt.evaluation.certify.unused_fields import check_fields, other_values
from nowt.rules.feedback import DrawnFeedback
from nowt.rules.layer_view import LayerView
from tests.support.broken_rules import BROKEN
from tests.support.certificates import certificate_of, measured


def test_other_values_of_a_field_follow_from_its_type() -> None:
    assert other_values(Literal["a", "b", "c"], "b") == ["a", "c"]
    assert other_values(bool, True) == [False]
    assert 2.0 in other_values(float, 1.0) and 1.0 not in other_values(float, 1.0)
    assert other_values(float | None, 30.0)[0] is None
    assert (1,) not in other_values(tuple[int, ...], ()) and (2,) in other_values(tuple[int, ...], ())
    assert other_values(str, "anything") == []


@dataclass(frozen=True)
class OneSize(DrawnFeedback):
    """A rule that works with two units alone."""

    name: ClassVar[str] = "one size"

    units: int = 2

    def prepare(self, layer: LayerView) -> None:
        if self.units != 2:
            raise IndexError("no such unit")


def test_a_field_whose_other_values_all_fail_is_not_called_unused() -> None:
    (check,) = check_fields(OneSize())
    assert isinstance(check, Check) and check.passed
    assert check.note == "units was not tested, because training fails with each other value"


def test_an_unused_field_is_named() -> None:
    by_name = {rule.__name__: rule for rule in BROKEN}
    assert measured(certificate_of(by_name["UnusedField"]()), "fields") == "without effect: patience (never read)"
