"""The law of δ's angle is checked where it holds: for errors that pass through B itself."""

import pytest

from nowt.evaluation.certify.certificate import SkippedCheck
from nowt.evaluation.certify.delta_angles import check_delta
from nowt.rules.base import Rule
from tests.evaluation.honest.paths import ErrorDropout, SignsOfB


@pytest.mark.parametrize("rule", [ErrorDropout(), SignsOfB()], ids=lambda rule: rule.name)
def test_a_rule_that_computes_what_carries_the_error_need_not_obey_the_product_rule(rule: Rule) -> None:
    (row,) = check_delta(rule)
    assert isinstance(row, SkippedCheck) and row.why == "the rule computes what carries the error from B (feedback)"
