"""``nowt merge``."""

import argparse
from pathlib import Path

from nowt.cli.databases import databases
from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override
from nowt.store.files import check_writable


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(verbs, "merge", "bring another store's runs into this one", "nowt merge /mnt/lab/runs --store runs")
    verb.add_argument("other", metavar="STORE", help="the other store, which stays as it is")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """Another store's runs into this one."""
    from nowt.store.sync.merge import merge

    none_of(overrides)
    check_writable(Path(typed.store), "--store")
    merge(Path(typed.other), Path(typed.store), print, databases())
    return 0
