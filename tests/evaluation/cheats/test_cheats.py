"""Every rule that cheats is found by the check that is meant for it."""

import pytest

from tests.evaluation.cheats import hidden_state, inside_the_map, optimizer, outside_torch, own_map, signs, writes
from tests.evaluation.cheats.cheat import Cheat, failed

KINDS = (own_map, outside_torch, optimizer, hidden_state, signs, inside_the_map, writes)


@pytest.mark.parametrize("cheat", [cheat for kind in KINDS for cheat in kind.CHEATS], ids=str)
def test_a_cheat_is_found_by_the_check_that_is_meant_for_it(cheat: Cheat) -> None:
    assert cheat.check in failed(cheat.run, cheat.rule)


def test_there_are_three_cheats_of_each_kind() -> None:
    assert all(len(kind.CHEATS) >= 3 for kind in KINDS)
