"""Certificates of rules for tests, and what they state."""

from functools import cache
from typing import Any

import pytest

from nowt.evaluation.certify import run
from nowt.evaluation.certify.certificate import Certificate
from nowt.evaluation.certify.delta_angles import check_delta
from nowt.evaluation.certify.gradients import check_gradients
from nowt.evaluation.certify.run import certify
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule


@cache
def certificate_of(rule: Rule) -> Certificate:
    """Certify a rule once, although several tests read the certificate."""
    return certify(rule)


@cache
def certificate_without_shapes_of(rule: Rule) -> Certificate:
    """Certify a rule once without the two checks of the path through B, over 514 shapes of layers and in a dense
    network. They take half the time, and only concern a rule that changes this path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "CHECKS", tuple(each for each in run.CHECKS if each not in (check_gradients, check_delta)))
        return certify(rule)


def rule_of(name: str, **fields: Any) -> Rule:
    """Return a rule with some of its fields set."""
    return find_rule(name)(**fields)


def failed_checks(certificate: Certificate) -> set[str]:
    """Return the names of the checks that failed."""
    return {check.name for check in certificate.checks if not check.passed}


def measured(certificate: Certificate, name: str) -> str:
    """Return what one check measured."""
    return next(check.measured for check in certificate.checks if check.name == name)
