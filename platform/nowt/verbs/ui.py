"""``nowt ui``."""

import argparse
import os
from pathlib import Path

from nowt.overrides import Override
from nowt.verbs.grammar import Verbs, add_verb
from nowt.verbs.options import none_of


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(verbs, "ui", "the MLflow page on the store, on this machine only", "nowt ui")
    verb.add_argument("--port", type=int, default=5000, help="default: 5000, or the next free one")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """MLflow's page, until Ctrl-C."""
    from nowt.ui import ui_command

    none_of(overrides)
    command = ui_command(Path(typed.store), typed.port)
    os.execv(command[0], command)
