"""The verdict says what a certificate did not show."""

import pytest

from nowt.rules.base import Rule
from tests.support.certificates import certificate_of, rule_of
from tests.support.honest_rules import HalfRate, Hebbian


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        (rule_of("kp"), "no weight transport"),
        (rule_of("kp", angle=0.0), "no undeclared read of W in training, but B starts from W: an initial angle"),
        (rule_of("fa", last_layer="backprop"), "no weight transport in the layers that it covers; backprop in fc"),
        (rule_of("wm", noise="idealised", warmup=1), "no undeclared read of W, but its mirror noise reads W out"),
        (rule_of("ss"), "transports the sign of W and nothing else of it"),
        (Hebbian(), "no undeclared read of W, but how B learns was not examined: no law is declared"),
        (
            Hebbian(last_layer="backprop"),
            "no undeclared read of W, but how B learns was not examined: no law is declared; backprop in fc",
        ),
        (HalfRate(), "no weight transport"),
    ],
    ids=["kp", "angle 0", "last layer", "idealised", "ss", "no law", "no law in some layers", "half rate"],
)
def test_the_verdict_states_what_was_not_shown(rule: Rule, verdict: str) -> None:
    assert certificate_of(rule).verdict.startswith(verdict)


def test_a_law_that_was_not_examined_is_listed() -> None:
    certificate = certificate_of(Hebbian())
    assert certificate.passed
    assert "not examined:\n  learning law: no law declared: not examined" in certificate.table()
    assert "learning law" not in certificate_of(rule_of("kp")).table()
