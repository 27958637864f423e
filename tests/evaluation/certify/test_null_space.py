"""The null-space test: it finds whoever reads W, by whatever means, and blames no honest rule."""

import pytest
import torch

from nowt.evaluation.certify.certificate import Check
from nowt.evaluation.certify.null_space import check_null_space
from nowt.rules.base import Rule
from nowt.rules.registry import builtin_rules
from tests.support.honest_rules import HONEST
from tests.support.nets import rule_id
from tests.support.weight_readers import READERS, KeepsTheStart, Reading, ReadsMomentum


def result(rule: Rule) -> Check:
    with torch.random.fork_rng(devices=[]):
        (check,) = check_null_space(rule)
    assert isinstance(check, Check)
    return check


@pytest.mark.parametrize("reader", READERS)
def test_whoever_reads_w_is_found_by_whatever_means(reader: str) -> None:
    check = result(Reading(reader=reader))
    assert not check.passed, check.measured


@pytest.mark.parametrize(
    "when", ["feedback", "observe", "observe_error", "prepare", "observe_mirror", "observe_gradient"]
)
def test_whoever_reads_w_is_found_whenever(when: str) -> None:
    assert not result(Reading(reader="NumPy with noise", when=when)).passed


@pytest.mark.parametrize("rule", [KeepsTheStart(), ReadsMomentum()], ids=lambda rule: rule.name)
def test_hidden_ways_to_w_are_found(rule: Rule) -> None:
    assert not result(rule).passed


@pytest.mark.parametrize("rule", HONEST, ids=rule_id)
def test_no_honest_rule_is_blamed(rule: Rule) -> None:
    check = result(rule)
    assert check.passed and "e-1" in check.measured, check.measured


def test_a_rule_that_declares_that_it_reads_w_must_notice_the_change() -> None:
    for rule in (kind() for kind in builtin_rules() if kind().transports and kind.name != "bp"):
        assert result(rule).passed
