"""Types of the fixtures of fault tests, and which study each repetition of a test disturbs."""

from collections.abc import Callable
from pathlib import Path

from tests.faults.study_process import RULES, VERBS, StudyProcess, Verb

MakeStudy = Callable[[Verb, int, str], StudyProcess]  # creates the study to disturb: verb, slots, rule

Undisturbed = Callable[[StudyProcess], Path]  # returns the store of the same study without a fault


def repetition(number: int) -> tuple[Verb, int, str]:
    """Return verb, slots and rule of repetition ``number``.

    Ablation and search alternate, as do one and two slots of the search; after four repetitions comes the next rule.
    """
    return VERBS[number % 2], 1 if number % 4 == 1 else 2, RULES[number // 4 % len(RULES)]
