"""``nowt ui``."""

import argparse
import os
from functools import partial
from pathlib import Path

from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override
from nowt.core.errors import require


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(verbs, "ui", "the MLflow page on the store, on this machine only", "nowt ui")
    verb.add_argument("--port", type=int, default=5000, help="default: 5000, or the next free one")
    verb.add_argument(
        "--cluster",
        nargs="?",
        const="cluster.yaml",
        metavar="FILE",
        help="the page of the nowt serve on this cluster's head, through an ssh tunnel (default: cluster.yaml)",
    )
    verb.add_argument("--head-port", type=int, metavar="N", help="with --cluster: MLflow's port there (default: 5000)")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """MLflow's page, until Ctrl-C."""
    none_of(overrides)
    if typed.cluster:
        from nowt.cluster.cluster_file import read_cluster
        from nowt.cluster.tunnel import browse

        ports = typed.port, 5000 if typed.head_port is None else typed.head_port
        return browse(read_cluster(Path(typed.cluster)), ports, typed.store, partial(print, flush=True))
    require(typed.head_port is None, "--head-port is for --cluster: give both, or --port")
    from nowt.tracking.ui import ui_command

    command = ui_command(Path(typed.store), typed.port)
    os.execv(command[0], command)
