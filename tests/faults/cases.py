"""What a fault test is given, and which study each of its repetitions disturbs."""

from collections.abc import Callable
from pathlib import Path

from tests.faults.world import RULES, VERBS, Verb, World

Make = Callable[[Verb, int, str], World]  # makes the world of one disturbed study: verb, slots, rule

Undisturbed = Callable[[World], Path]  # the store of the same study that nothing disturbed


def case(number: int) -> tuple[Verb, int, str]:
    """Of the number-th repetition: an ablation or a search in turn, the search on one slot or two in turn; after four
    of one rule come four of the next."""
    return VERBS[number % 2], 1 if number % 4 == 1 else 2, RULES[number // 4 % len(RULES)]
