"""``nowt serve``."""

import argparse
from functools import partial
from pathlib import Path

from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(
        verbs, "serve", "MLflow's server on the store, behind a password, on this machine only", "nowt serve"
    )
    verb.add_argument("--port", type=int, default=5000, help="default: 5000")
    verb.add_argument("--backend", default="", metavar="URL", help="MLflow's database (default: sqlite, in the store)")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """MLflow's server, until Ctrl-C."""
    from nowt.tracking.server import serve

    none_of(overrides)
    return serve(Path(typed.store), typed.port, typed.backend, partial(print, flush=True))
