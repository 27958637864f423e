"""What a fault test is given, and which study each of its repetitions disturbs."""

from collections.abc import Callable
from pathlib import Path

from world import VERBS, Verb, World

Make = Callable[[Verb, int], World]  # makes the world of one disturbed study: verb, slots
Undisturbed = Callable[[Verb], Path]  # the store of a study that nothing disturbed


def case(number: int) -> tuple[Verb, int]:
    """Of the number-th repetition: an ablation or a search in turn, the search on one slot or two in turn."""
    return VERBS[number % 2], 1 if number % 4 == 1 else 2
