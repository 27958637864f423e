"""``nowt rebuild``."""

import argparse
from pathlib import Path

from nowt.overrides import Override
from nowt.verbs.grammar import Verbs, add_verb
from nowt.verbs.options import none_of


def add(verbs: Verbs) -> None:
    """Its grammar."""
    add_verb(verbs, "rebuild", "MLflow again, from the logs alone", "nowt rebuild")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """MLflow again."""
    from nowt.record import rebuild

    none_of(overrides)
    print(f"{rebuild(Path(typed.store))} runs written to {typed.store}/mlflow.db")
    return 0
