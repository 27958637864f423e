"""``nowt pull``."""

import argparse
from pathlib import Path

from nowt.cli.databases import databases
from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override
from nowt.store.files import check_writable


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
    from nowt.store.sync.pull import pull

    none_of(overrides)
    check_writable(Path(typed.store), "--store")
    pull(typed.source, Path(typed.store), print, databases())
    return 0
