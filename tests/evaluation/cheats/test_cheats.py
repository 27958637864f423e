"""Every rule that cheats is found by the check that is meant for it."""

import pytest

from nowt.rules.base import Rule
from tests.evaluation.cheats import hidden_state, inside_the_map, optimizer, outside_torch, own_map, signs, writes
from tests.evaluation.cheats.cheat import Cheat, failed
from tests.evaluation.cheats.without_condition import VERDICTS
from tests.support.certificates import certificate_of

KINDS = (own_map, outside_torch, optimizer, hidden_state, signs, inside_the_map, writes)


@pytest.mark.parametrize("cheat", [cheat for kind in KINDS for cheat in kind.CHEATS], ids=str)
def test_a_cheat_is_found_by_the_check_that_is_meant_for_it(cheat: Cheat) -> None:
    assert cheat.check in failed(cheat.run, cheat.rule)


def test_there_are_three_cheats_of_each_kind() -> None:
    assert all(len(kind.CHEATS) >= 3 for kind in KINDS)


@pytest.mark.parametrize("rule", VERDICTS, ids=lambda rule: rule.name)
def test_a_verdict_states_its_conditions(rule: Rule) -> None:
    assert VERDICTS[rule] in certificate_of(rule).verdict
