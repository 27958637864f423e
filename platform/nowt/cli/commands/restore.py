"""``nowt restore``."""

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
        verbs, "restore", "go on with a store from its backup in a bucket", "nowt restore s3://lab/nowt/store"
    )
    verb.add_argument("url", metavar="s3://BUCKET/PREFIX", help="where nowt backup put it")
    verb.add_argument("--if-empty", action="store_true", help="only into a store without runs, and if there is a copy")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """The store from its backup."""
    from nowt.store.sync.restore import restore

    none_of(overrides)
    check_writable(Path(typed.store), "--store")
    restore(typed.url, Path(typed.store), print, databases(), goes_on=True, if_empty=typed.if_empty)
    return 0
