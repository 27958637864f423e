"""The locality grade says what a synapse needs to know: its own two units, its layer, or more."""

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from nowt.evaluation.certify.certificate import Check, Grade
from nowt.evaluation.certify.grades import check_grade, grade
from nowt.evaluation.certify.replayed_step import Nudge, ReplayedStep
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.layer_view import LayerView
from nowt.rules.registry import builtin_rules, find_rule
from nowt.rules.weight_mirror import WeightMirror
from tests.support import graded_rules as graded
from tests.support.certificates import certificate_of
from tests.support.honest_rules import HONEST

PAGE = Path(__file__).parents[3] / "docs" / "adding-a-rule.md"

BUILT_IN = {
    "bp": "transports",
    "fa": "synapse-local",
    "ss": "transports the sign",
    "wm": "synapse-local",
    "kp": "synapse-local",
    "dfa": "synapse-local",
    "dkp": "synapse-local",
    "ia": "synapse-local",
    "sham": "transports",
}

# the built-in rules have tests of their own, and the ways to write one product have one grade
OWN_WAYS = list({rule.name: rule for rule in HONEST if rule.name not in BUILT_IN}.values())

MIRRORS = [
    WeightMirror(through="nonlinearity", receiver_noise=0.1, last_activation="sigmoid"),
    WeightMirror(noise="idealised", interval=0),
    WeightMirror(normalize="none", eta=1e-5, extent=0),
    WeightMirror(target_angle=20.0),
    WeightMirror(streams=2, bias=True, burst=2, interval=0),
]


@cache
def graded_once(rule: Rule) -> Grade:
    with torch.random.fork_rng(devices=[]):
        return grade(rule)


def muon(model: nn.Module, layers: list[FeedbackLayer]) -> torch.optim.Optimizer:
    return graded.Muon(model.parameters())


def whole_norm(model: nn.Module, layers: list[FeedbackLayer]) -> torch.optim.Optimizer:
    return graded.WholeNorm(model.parameters(), lr=0.1)


def adamw(model: nn.Module, layers: list[FeedbackLayer]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=0.01)


@pytest.mark.parametrize("kind", builtin_rules(), ids=lambda kind: kind.name)
def test_each_built_in_rule_has_its_grade(kind: type[Rule]) -> None:
    assert graded_once(kind()).name == BUILT_IN[kind.name]


@pytest.mark.parametrize("number", range(3), ids=["fixed", "information", "direct"])
def test_the_rules_of_the_guide_are_synapse_local(number: int, tmp_path: Path) -> None:
    block = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[number]
    (tmp_path / "rule.py").write_text(block, encoding="utf-8")
    assert graded_once(find_rule(str(tmp_path / "rule.py"))()).name == "synapse-local"


@pytest.mark.parametrize("rule", OWN_WAYS, ids=lambda rule: rule.name)
def test_honest_rules_are_synapse_local(rule: Rule) -> None:
    found = graded_once(rule)
    assert found.name == "synapse-local", found.reasons


@pytest.mark.parametrize("rule", MIRRORS, ids=range(len(MIRRORS)))
def test_the_options_of_the_mirror_need_no_number_of_the_layer(rule: Rule) -> None:
    assert (graded_once(rule).name, graded_once(rule).rank) == ("synapse-local", 0)


def test_the_grade_of_kolen_pollack_names_its_assumption() -> None:
    assert any("paired cells" in reason and "Kunin" in reason for reason in graded_once(KolenPollack()).reasons)


def test_the_grade_of_a_target_angle_names_the_controller() -> None:
    assert any("controller" in reason for reason in graded_once(WeightMirror(target_angle=20.0)).reasons)


@pytest.mark.parametrize("rule", [graded.ErrorRate(), graded.UnitNorm(), graded.NormedAlone()], ids=lambda r: r.name)
def test_one_number_of_the_layer_that_is_not_declared_makes_a_rule_layer_local(rule: Rule) -> None:
    found = graded_once(rule)
    assert (found.name, found.rank) == ("layer-local", 1)
    assert "rank 1; the rule declares 0 scalars" in found.reasons[0]


@pytest.mark.parametrize("rule", [graded.DeclaredErrorRate(), graded.DeclaredUnitNorm()], ids=lambda r: r.name)
def test_a_declared_scalar_leaves_a_rule_synapse_local(rule: Rule) -> None:
    assert (graded_once(rule).name, graded_once(rule).rank) == ("synapse-local", 1)


@pytest.mark.parametrize("rule", [graded.Whitening(), graded.HandMade()], ids=lambda r: r.name)
def test_mixing_the_units_of_a_layer_is_layer_local(rule: Rule) -> None:
    found = graded_once(rule)
    assert found.name == "layer-local"
    assert found.rank is not None and found.rank > 3


def test_declaring_many_scalars_does_not_hide_that_units_are_mixed() -> None:
    found = graded_once(graded.DeclaredWhitening())
    assert found.name == "layer-local"
    assert "changes have rank 6; the rule declares 3 scalars" in found.reasons[0]


def test_an_error_of_another_layer_makes_a_rule_global() -> None:
    assert graded_once(graded.ErrorOfAnother()).name == "global"


def test_activation_alignment_transports_the_feedback_weights() -> None:
    found = graded_once(graded.ActivationAlignment())
    assert found.name == "transports B"
    assert "passes forward through B" in found.reasons[1]


def test_an_optimizer_that_mixes_the_gradients_of_a_layer_makes_a_rule_global() -> None:
    found = grade(KolenPollack(), muon)
    assert found.name == "global"
    assert "more numbers" in found.reasons[1]


def test_an_optimizer_that_mixes_layers_makes_a_rule_global() -> None:
    assert grade(FeedbackAlignment(), whole_norm).name == "global"


def test_an_optimizer_of_each_synapse_alone_changes_no_grade() -> None:
    assert grade(FeedbackAlignment(), adamw).name == "synapse-local"


def test_a_rule_whose_numbers_are_not_finite_has_no_grade() -> None:
    @dataclass(frozen=True)
    class Infinite(FeedbackAlignment):
        name: ClassVar[str] = "infinite"

        def after_step(self, layer: LayerView, step: int) -> None:
            layer.feedback.div_(0)

    found = graded_once(Infinite())
    assert (found.name, found.rank) == ("not graded", None)


def test_a_nudged_unit_changes_its_own_row_or_column_of_a_linear_layer_and_a_convolution() -> None:
    step = ReplayedStep(KolenPollack())
    base = step.run()
    for layer in ("fc", "block1.conv1"):
        for kind, dim in (("input", 0), ("output", 1)):
            weight = step.run(Nudge(layer, kind, (2,)), 1e-4)[layer][0]
            others = [other for other in range(weight.dim()) if other != 1 - dim]
            changed = (weight - base[layer][0]).abs().sum(others).nonzero().flatten()
            assert changed.tolist() == [2]


def test_a_step_is_replayed_to_the_last_bit() -> None:
    step = ReplayedStep(graded.Activity())
    first, second = step.run(), step.run()
    assert all(torch.equal(a, b) for name in first for a, b in zip(first[name], second[name], strict=True))


def test_the_row_of_a_certificate_fails_if_more_scalars_are_used_than_declared() -> None:
    held = graded_once(graded.DeclaredErrorRate())
    (kept,) = check_grade(graded.DeclaredErrorRate(), held)
    (broken,) = check_grade(graded.DeclaredErrorRate(), replace(held, name="layer-local", rank=5))
    assert isinstance(kept, Check) and kept.passed
    assert isinstance(broken, Check) and not broken.passed and broken.measured == "rank 5: layer-local"


def test_a_certificate_states_the_grade() -> None:
    certificate = certificate_of(KolenPollack())
    assert "locality grade: synapse-local:" in certificate.table()
    stored = json.loads(json.dumps(certificate.to_json()))["grade"]
    assert (stored["name"], stored["rank"], stored["scalars"]) == ("synapse-local", 0, 0)
