"""``nowt pull``."""

import argparse
from pathlib import Path

from nowt.overrides import Override
from nowt.store import check_writable
from nowt.verbs.grammar import Verbs, add_verb
from nowt.verbs.options import none_of


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(
        verbs,
        "pull",
        "fetch the runs of a store on another machine, or of its backup",
        "nowt pull ubuntu@HEAD:nowt/runs",
    )
    verb.add_argument("source", metavar="HOST:FOLDER", help="over ssh, from the home over there; or s3://BUCKET/PREFIX")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """Another machine's runs into this store."""
    from nowt.keeper.pull import pull

    none_of(overrides)
    check_writable(Path(typed.store), "--store")
    pull(typed.source, Path(typed.store), print)
    return 0
