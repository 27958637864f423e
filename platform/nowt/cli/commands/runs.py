"""``nowt runs``."""

import argparse
from pathlib import Path

from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(verbs, "runs", "the runs of the store, as a table", "nowt runs --rule kp --state finished")
    verb.add_argument("--rule", help="only this rule's")
    verb.add_argument("--state", help="only these: running, interrupted, finished, diverged, stopped, failed")
    verb.add_argument("--study", help="only this study's (its name or key)")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """The runs as a table."""
    from nowt.cli.tables import runs_table

    none_of(overrides)
    print(runs_table(Path(typed.store), rule=typed.rule, state=typed.state, study=typed.study))
    return 0
