"""Audits find reads of W that a rule hides, and say so where rounding alone explains as much."""

import re
from contextlib import suppress
from dataclasses import replace

import pytest

from nowt.config.run_config import ModelConfig, OptimConfig, RunConfig
from nowt.rules.base import Rule
from nowt.store.audits import Audit, audits_in_words
from nowt.training.audit import TransportDetected
from nowt.training.loop import TrainingDiverged, train
from tests.support.discontinuous_rules import (
    AmplifiesRounding,
    NeverTheSame,
    QuantizedB,
    SparseB,
    StartsAnew,
    UnequalRows,
)
from tests.support.hidden_reads import (
    BesideAlternatingNumbers,
    ChangesGradients,
    ChangesTheDecay,
    HidesBehindAmplifiedRounding,
    HugeColumn,
    HugeUpperEntry,
    ImaginaryPart,
    InLowBits,
    KeepsWInABuffer,
    KeepsWInTheOptimizer,
    StartsAsASum,
    StartsTransposed,
    StartsUnderALargeVector,
    TinyCopy,
    TinyGradient,
)
from tests.support.map_callers import CallsTheLayer, MapsInAHook, MapsInAThread, MapsTheIdentity
from tests.support.short_runs import CPU, STEPS, short_run

DENSE = ModelConfig("mlp", hidden=(80,))


def config_of(rule: Rule, model: ModelConfig = DENSE) -> RunConfig:
    return replace(short_run("fa"), rule=rule, model=model, optim=OptimConfig(lr=0.005))


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (HugeColumn(), r"at step 1 .*: B of layer fc\d changes with W"),
        (HugeUpperEntry(), r"at step 1 .*: kept of layer fc\d changes with W"),
        (TinyCopy(), r"at step 1 .*: kept of layer fc\d changes with W"),
        (InLowBits(), r"at step 1 .*: kept of layer fc\d changes with W"),
        (ImaginaryPart(), r"at step 1 .*: kept of layer fc\d changes with W"),
        (BesideAlternatingNumbers(), r"at step 1 .*: kept of layer fc\d changes with W"),
        (StartsTransposed(), r"before the first step .*: W of layer fc\d is a sum of what the rule registered"),
        (StartsAsASum(), r"before the first step .*: W of layer fc\d is a sum of what the rule registered"),
        (MapsTheIdentity(), r"at step 1 .*: B of layer fc\d changes with W"),
        (CallsTheLayer(), r"at step 1 .*: B of layer fc\d changes with W"),
        (MapsInAThread(), r"at step 1 .*: B of layer fc\d changes with W"),
        (MapsInAHook(), r"at step 2 .*: B of layer fc\d changes with W"),
        (TinyGradient(), r"at step 1 .*: the gradient of fc1.weight changes with W"),
        (HugeColumn(share=0.7), r"at step 1 .*: B of layer fc\d changes with W"),
        (StartsUnderALargeVector(), r"before the first step .*: B of layer fc\d starts from W: cos"),
        (ChangesGradients(), r"at step 2 .*: fc\d.weight: not what the optimizer makes of the gradients"),
        (ChangesTheDecay(), "at step 2 .*: the settings of the optimizer: not what"),
        (KeepsWInTheOptimizer(), "at step 2 .*: the settings of the optimizer: not what"),
        (KeepsWInABuffer(), r"at step 1 .*buffer fc\d.kept changes with W"),
        (HidesBehindAmplifiedRounding(), r"at step 1 .*B of layer fc\d changes with W"),
    ],
    ids=lambda value: value.name if isinstance(value, Rule) else "",
)
def test_a_hidden_read_is_found(rule: Rule, line: str) -> None:
    with pytest.raises(TransportDetected) as caught:
        list(train(config_of(rule), replace(CPU, audit=2 * STEPS)))
    assert re.match("transport detected " + line, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("rule", [AmplifiesRounding(), UnequalRows(), QuantizedB()], ids=lambda rule: rule.name)
@pytest.mark.parametrize("model", [DENSE, ModelConfig()], ids=lambda model: model.name)
def test_an_honest_rule_is_not_blamed_if_rounding_or_overflow_changes_its_numbers(
    rule: Rule, model: ModelConfig
) -> None:
    found: list[Audit] = []
    with suppress(TrainingDiverged):
        list(train(config_of(rule, model), replace(CPU, audit=2 * STEPS), on_audit=found.append))
    assert len(found) > STEPS and all(audit.examined and audit.change == 0 for audit in found)


def test_steps_that_give_other_numbers_each_time_count_as_not_examined() -> None:
    found: list[Audit] = []
    list(train(config_of(NeverTheSame()), replace(CPU, audit=3), on_audit=found.append))
    assert [audit.irregular for audit in found] == [False, True, True, True]
    words = audits_in_words(found)
    assert "0 steps, 3 more could not be examined (3 because they give other numbers each time, such as in " in words
    assert words.endswith("nothing is known of what the rule reads")


def test_a_start_that_is_another_one_each_time_counts_as_not_examined() -> None:
    found: list[Audit] = []
    list(train(config_of(StartsAnew()), replace(CPU, audit=1), on_audit=found.append))
    assert [(audit.examined, audit.irregular, audit.problem) for audit in found] == [
        (False, True, ""),
        (True, False, ""),
    ]


def test_masks_and_counters_of_the_size_of_w_are_not_compared_with_w() -> None:
    found: list[Audit] = []
    list(train(config_of(SparseB()), replace(CPU, audit=1), on_audit=found.append))
    assert [audit.problem for audit in found] == ["", ""]
