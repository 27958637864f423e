"""``nowt doctor``."""

import argparse
from pathlib import Path

from nowt.overrides import Override
from nowt.verbs.grammar import Verbs, add_verb
from nowt.verbs.options import none_of


def add(verbs: Verbs) -> None:
    """Its grammar."""
    add_verb(verbs, "doctor", "what is wrong with this installation, in plain words", "nowt doctor")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """What is wrong here."""
    from nowt.doctor import examine

    none_of(overrides)
    problems = examine(Path(typed.store))
    print("\n".join(problems) if problems else "nothing found wrong")
    return 1 if problems else 0
