"""The verdict says what a certificate did not show."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from nowt.evaluation.certify.certificate import SkippedCheck
from nowt.evaluation.certify.learning_law import check_learning_law
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.layer_view import LayerView
from nowt.rules.weight_mirror import WeightMirror
from tests.support.certificates import certificate_of, rule_of
from tests.support.honest_rules import HalfRate, Hebbian
from tests.support.weight_readers import Reading


@dataclass(frozen=True)
class FirstLayerOnly(FeedbackAlignment):
    """Covers one layer, and leaves all others to backprop."""

    name: ClassVar[str] = "first layer only"

    def covers(self, name: str, last: bool) -> bool:
        return name == "conv1"


class AlsoDrifts(KolenPollack):
    """Kolen-Pollack whose B also changes after each step: its law does not hold."""

    name: ClassVar[str] = "also drifts"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.mul_(0.999)


@dataclass(frozen=True)
class MirrorsAndDrifts(WeightMirror):
    """Weight mirror whose B also changes after each step."""

    name: ClassVar[str] = "mirrors and drifts"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.mul_(0.999)


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        (rule_of("kp"), "no weight transport"),
        (rule_of("kp", angle=0.0), "no undeclared read of W in training, but B starts from W: an initial angle"),
        (rule_of("fa", last_layer="backprop"), "no weight transport in the layers that it covers; backprop in fc"),
        (rule_of("fa", angle=10.0), "no undeclared read of W in training, but B starts from W: an initial angle"),
        (FirstLayerOnly(), "no weight transport in the layers that it covers; backprop in block1.conv1"),
        (rule_of("ss"), "transports the sign of W and nothing else of it"),
        (Hebbian(), "no undeclared read of W, but how B learns was not examined: no law is declared"),
        (
            Hebbian(last_layer="backprop"),
            "no undeclared read of W, but how B learns was not examined: no law is declared; backprop in fc",
        ),
        (HalfRate(), "no weight transport"),
        (AlsoDrifts(), "no undeclared read of W, but how B learns was not examined: no law is declared"),
    ],
    ids=[
        "kp",
        "angle 0",
        "last layer",
        "angle 10",
        "first layer",
        "ss",
        "no law",
        "no law in some layers",
        "half rate",
        "more than the law",
    ],
)
def test_the_verdict_states_what_was_not_shown(rule: Rule, verdict: str) -> None:
    assert certificate_of(rule).verdict.startswith(verdict)


def test_a_mirror_beside_which_b_changes_is_not_examined() -> None:
    (row,) = check_learning_law(MirrorsAndDrifts())
    assert isinstance(row, SkippedCheck)
    assert row.why == "no law declared: not examined"
    assert list(check_learning_law(WeightMirror())) == []


def test_a_law_that_was_not_examined_is_listed() -> None:
    certificate = certificate_of(Hebbian())
    assert certificate.passed
    assert "not examined:\n  learning law: no law declared: not examined" in certificate.table()
    assert "learning law" not in certificate_of(rule_of("kp")).table()


@dataclass(frozen=True)
class TurnsToNaN(FeedbackAlignment):
    """B becomes NaN in the first step."""

    name: ClassVar[str] = "turns to NaN"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.mul_(float("nan"))


@dataclass(frozen=True)
class CountsOutside(FeedbackAlignment):
    """B depends on a counter that is no registered state."""

    name: ClassVar[str] = "counts outside"
    steps: ClassVar[list[int]] = []

    def after_step(self, layer: LayerView, step: int) -> None:
        self.steps.append(step)
        layer.feedback.mul_(1 + 0.001 * len(self.steps))


@pytest.mark.parametrize(
    ("rule", "reason", "row"),
    [
        (TurnsToNaN(), "its numbers do not stay finite", "finite: In training, all numbers stay finite: "),
        (CountsOutside(), "the same seed gives other numbers each time", "same seed: The same seed gives the same B"),
    ],
)
def test_a_rule_whose_numbers_show_nothing_is_not_said_to_read_w(rule: Rule, reason: str, row: str) -> None:
    certificate = certificate_of(rule)
    assert certificate.verdict == f"no verdict on weight transport, because {reason}"
    assert row in certificate.table(width=300).partition("\nfailed:\n")[2]


def test_a_rule_that_reads_w_gets_no_grade() -> None:
    certificate = certificate_of(Reading(reader="NumPy with noise", when="observe"))
    assert not certificate.passed
    assert "locality grade: not graded:\n  the rule reads W where it promises not to" in certificate.table()
