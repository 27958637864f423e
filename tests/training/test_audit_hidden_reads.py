"""Audits find reads of W that a rule hides, and say so where rounding alone explains as much."""

import re
from dataclasses import replace

import pytest

from nowt.config.run_config import ModelConfig, OptimConfig, RunConfig
from nowt.rules.base import Rule
from nowt.store.audits import Audit, audits_in_words
from nowt.training.audit import TransportDetected
from nowt.training.loop import train
from tests.support.hidden_reads import (
    AmplifiesRounding,
    ChangesGradients,
    ChangesTheDecay,
    HidesBehindAmplifiedRounding,
    HugeColumn,
    KeepsWInABuffer,
    KeepsWInTheOptimizer,
    StartsUnderALargeVector,
)
from tests.support.short_runs import CPU, STEPS, short_run


def config_of(rule: Rule) -> RunConfig:
    dense = ModelConfig("mlp", hidden=(80,))
    return replace(short_run("fa"), rule=rule, model=dense, optim=OptimConfig(lr=0.005))


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (HugeColumn(), r"at step 1 .*: the smallest 1/\d+ of B of layer fc\d changes with W"),
        (HugeColumn(share=0.7), r"at step 1 .*: the smallest 1/\d+ of B of layer fc\d changes with W"),
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


def test_a_rule_that_amplifies_rounding_is_not_blamed_and_the_report_says_that_nothing_is_known() -> None:
    found: list[Audit] = []
    list(train(config_of(AmplifiesRounding()), replace(CPU, audit=3), on_audit=found.append))
    assert [audit.amplified for audit in found] == [False, True, True, True]
    words = audits_in_words(found)
    assert "0 steps, 3 more could not be examined (3 because the rule amplifies rounding, such as in" in words
    assert words.endswith("nothing is known of what the rule reads")
