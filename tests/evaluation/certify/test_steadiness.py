"""Resumption, measurements, two workers and the error that is sent: who fails, who passes, and what is said."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nowt.core.distributed import Group
from nowt.evaluation.certify.certificate import Check, CheckResults
from nowt.evaluation.certify.initial_feedback import check_initial_feedback
from nowt.evaluation.certify.measuring import check_measuring
from nowt.evaluation.certify.resumed import check_resumed
from nowt.evaluation.certify.sent_errors import check_sent_errors
from nowt.evaluation.certify.two_workers import check_two_workers
from nowt.evaluation.certify.worker_threads import UnequalCalls, run_together
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule
from tests.rules.test_future_rules import DirectFeedback
from tests.support.honest_rules import HONEST
from tests.support.nets import rule_id
from tests.support.stateful_rules import CountsForwardPasses, HiddenCount
from tests.support.unsteady_rules import (
    HIDDEN_STATE,
    IgnoresSeedAndLayer,
    RedrawsFeedback,
    SendsHalfOfTheLastError,
    SendsLastError,
    SendsNumbersThatAreNone,
    SumsNowAndThen,
)

CHECKS = (check_sent_errors, check_resumed, check_measuring, check_two_workers)


def result(check: Callable[[Rule], CheckResults], rule: Rule) -> Check:
    (found,) = check(rule)
    assert isinstance(found, Check)
    return found


@pytest.mark.parametrize("rule", [*HONEST, DirectFeedback()], ids=rule_id)
def test_no_honest_rule_is_blamed(rule: Rule) -> None:
    failed = [found for check in CHECKS for found in check(rule) if isinstance(found, Check) and not found.passed]
    assert not failed


def test_the_rules_of_the_documentation_pass(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "adding-a-rule.md").read_text()
    blocks = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    for number, block in enumerate(blocks):
        path = tmp_path / f"rule{number}.py"
        path.write_text(block)
        rule = find_rule(str(path))()
        assert all(not isinstance(found, Check) or found.passed for check in CHECKS for found in check(rule))
    assert len(blocks) == 3


@pytest.mark.parametrize("kind", HIDDEN_STATE, ids=lambda kind: kind.__name__)
def test_state_that_is_not_registered_is_lost_on_resume(kind: type[Rule]) -> None:
    found = result(check_resumed, kind())
    assert not found.passed and "feedback" in found.measured


@pytest.mark.parametrize("kind", [CountsForwardPasses, HiddenCount])
def test_a_rule_that_counts_forward_passes_counts_measurements(kind: type[Rule]) -> None:
    found = result(check_measuring, kind())
    assert found.measured.startswith("differs: conv1.passes")


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (SendsNumbersThatAreNone, "not finite"),
        (SendsLastError, "the same for other labels"),
        (SendsHalfOfTheLastError, "depends on other steps"),
        (RedrawsFeedback, "depends on other steps"),
    ],
)
def test_an_error_that_is_not_this_steps_is_named(kind: type[Rule], fault: str) -> None:
    found = result(check_sent_errors, kind())
    assert not found.passed and fault in found.measured


def test_a_rule_without_a_matrix_that_ignores_seed_and_layer_fails() -> None:
    rows = {row.name: row for row in check_initial_feedback(IgnoresSeedAndLayer())}
    direct = {row.name: row for row in check_initial_feedback(DirectFeedback())}
    found, drawn = rows["other seed"], direct["other seed"]
    assert isinstance(found, Check) and not found.passed
    assert isinstance(drawn, Check) and drawn.passed


def test_workers_that_do_not_sum_together_are_named() -> None:
    found = result(check_two_workers, SumsNowAndThen())
    assert found.measured == "the workers do not sum the same values in the same order"


def test_threads_sum_in_the_order_of_their_ranks() -> None:
    def work(group: Group) -> tuple[float, int, tuple[bool, ...]]:
        value = torch.tensor([float(group.rank + 1)])
        group.sum([value])
        return value.item(), len(group.gather(value)), group.any(group.rank == 1, False)

    assert run_together(3, lambda group: group, work) == [(6.0, 3, (True, False))] * 3


def test_a_worker_that_fails_stops_the_others() -> None:
    def fail(group: Group) -> None:
        if group.rank == 1:
            raise RuntimeError("no")
        group.sum([torch.zeros(1)])

    def leave(group: Group) -> None:
        if group.rank == 0:
            group.sum([torch.zeros(1)])

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="no"):
        run_together(2, lambda group: group, fail)
    with pytest.raises(UnequalCalls):
        run_together(2, lambda group: group, leave)
    assert threading.active_count() == before
