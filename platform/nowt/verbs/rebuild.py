"""``nowt rebuild``."""

import argparse
from pathlib import Path

from nowt.overrides import Override
from nowt.verbs.grammar import Verbs, add_verb
from nowt.verbs.options import none_of


def add(verbs: Verbs) -> None:
    """Its grammar."""
    add_verb(verbs, "rebuild", "MLflow and frames again, from the logs alone", "nowt rebuild")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """MLflow and frames again."""
    from nowt.rebuild import rebuild_all

    none_of(overrides)
    print(rebuild_all(Path(typed.store)))
    return 0
