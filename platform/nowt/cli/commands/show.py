"""``nowt show``."""

import argparse
from pathlib import Path

from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(verbs, "show", "one run: config, curve, alignment", "nowt show 3f2a91")
    verb.add_argument("run", help="the run's key, or its first digits")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """One run."""
    from nowt.cli.tables import run_page

    none_of(overrides)
    print(run_page(Path(typed.store), typed.run))
    return 0
