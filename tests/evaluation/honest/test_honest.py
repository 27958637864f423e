"""No honest rule fails a check."""

import pytest

from nowt.rules.base import Rule, overrides
from tests.evaluation.honest import activity_rules, gradient_rules, mirror_rules, paths
from tests.support.certificates import certificate_of, certificate_without_shapes_of, failed_checks
from tests.support.honest_rules import HONEST

KINDS = (gradient_rules, mirror_rules, activity_rules, paths)

RULES = [*(rule for rule in HONEST if type(rule).__module__.startswith("tests.")), *(r for k in KINDS for r in k.RULES)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{getattr(rule, 'way', '')}")
def test_an_honest_rule_passes_every_check(rule: Rule) -> None:
    changes_the_path = overrides(rule, "feedback") or overrides(rule, "send_back")
    certificate = (certificate_of if changes_the_path else certificate_without_shapes_of)(rule)
    assert failed_checks(certificate) == set(), certificate.table()


def test_there_are_fifteen_of_them() -> None:
    assert len(RULES) >= 15
