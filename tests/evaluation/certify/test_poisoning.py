"""The poisoning test: it finds whoever reads W outside of its maps and its update, and blames no honest rule."""

import pytest
import torch

from nowt.evaluation.certify.certificate import READING, Check, SkippedCheck
from nowt.evaluation.certify.poisoning import check_poisoning
from nowt.rules.backprop import Backprop
from nowt.rules.base import Rule
from nowt.rules.registry import builtin_rules
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.rules.weight_mirror import WeightMirror
from tests.support.honest_rules import HONEST
from tests.support.nets import MAGNITUDES, rule_id
from tests.support.weight_readers import READERS, KeepsTheStart, Reading, ReadsMomentum
from tests.support.weight_reading_rules import MovesOnLargeMaps
from tests.support.weight_thieves import THIEVES

PROBES = {"the mirror map"}  # it is permitted, so only the null-space test finds who solves for W through it

MIRRORS: list[Rule] = [
    WeightMirror(noise="uniform", normalize="positions", sigma=0.5, receiver_noise=0.3, warmup=3),
    WeightMirror(noise="idealised", extent=0, interval=3, warmup=3),
    WeightMirror(through="nonlinearity", normalize="none", eta=1e-5, interval=0, warmup=3),
    WeightMirror(burst=2, interval=0, warmup=3),
]


def result(rule: Rule) -> Check:
    (check,) = check_poisoning(rule)
    assert isinstance(check, Check)
    return check


@pytest.mark.parametrize("reader", READERS)
def test_whoever_reads_w_outside_of_its_maps_is_found(reader: str) -> None:
    check = result(Reading(reader=reader))
    assert check.passed == (reader in PROBES), check.measured


@pytest.mark.parametrize(
    ("when", "first"),
    [
        ("prepare", "conv1.feedback, prepared on garbage"),
        ("observe_mirror", "conv1.feedback, before learning"),
        ("feedback", "gradient of conv1.weight, step 1"),
        ("observe", "gradient of conv1.weight, step 1"),
        ("observe_error", "gradient of conv1.weight, step 1"),
        ("observe_gradient", "conv1.feedback, step 1"),
    ],
)
def test_the_first_change_says_when_w_was_read(when: str, first: str) -> None:
    assert result(Reading(reader="NumPy with noise", when=when)).measured == f"first change: {first}"


@pytest.mark.parametrize(
    "rule", [*THIEVES, KeepsTheStart(), ReadsMomentum(), MovesOnLargeMaps()], ids=lambda rule: type(rule).__name__
)
def test_hidden_ways_to_w_are_found(rule: Rule) -> None:
    check = result(rule)
    assert not check.passed, check.measured
    assert check.name in READING  # which decide the verdict


@pytest.mark.parametrize("rule", [*HONEST, *MIRRORS], ids=rule_id)
def test_no_honest_rule_is_blamed(rule: Rule) -> None:
    check = result(rule)
    assert check.passed, check.measured
    assert check.measured == "the same bit for bit"


def test_a_rule_that_declares_that_it_reads_w_must_notice_the_garbage() -> None:
    declared = [kind() for kind in builtin_rules() if kind().transports and kind.name != "bp"]
    for rule in (*declared, *MAGNITUDES):
        assert result(rule).passed


def test_a_declared_sign_that_does_not_follow_w_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("rule_steps", "views"):
        monkeypatch.setattr(f"nowt.layers.{place}.copy_signs", lambda layer: None)
    check = result(SignSymmetry())
    assert not check.passed and check.measured == "the same bit for bit"


def test_backprop_has_nothing_to_poison() -> None:
    (skipped,) = check_poisoning(Backprop())
    assert isinstance(skipped, SkippedCheck) and "covers no layer" in skipped.why


def test_the_random_states_stay_the_same() -> None:
    before = torch.get_rng_state()
    result(HONEST[0])
    assert torch.equal(torch.get_rng_state(), before)
