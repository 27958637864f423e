"""``nowt serve``."""

import argparse
from functools import partial
from pathlib import Path

from nowt.overrides import Override
from nowt.verbs.grammar import Verbs, add_verb
from nowt.verbs.options import none_of


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(
        verbs, "serve", "MLflow's server on the store, behind a password, on this machine only", "nowt serve"
    )
    verb.add_argument("--port", type=int, default=5000, help="default: 5000")
    verb.add_argument("--backend", default="", metavar="URL", help="MLflow's database (default: sqlite, in the store)")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """MLflow's server, until Ctrl-C."""
    from nowt.keeper.serve import serve

    none_of(overrides)
    return serve(Path(typed.store), typed.port, typed.backend, partial(print, flush=True))
