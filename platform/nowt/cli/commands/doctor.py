"""``nowt doctor``."""

import argparse
from pathlib import Path

from nowt.cli.databases import database_problems
from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(
        verbs, "doctor", "what is wrong with this installation or cluster, in plain words", "nowt doctor --cluster"
    )
    verb.add_argument(
        "--cluster",
        nargs="?",
        const="cluster.yaml",
        metavar="FILE",
        help="this file, its account and, where RAY_ADDRESS names a running cluster, its nodes (default: cluster.yaml)",
    )
    verb.add_argument("--data-dir", default="", metavar="DIR", help="folder of the pictures on every node")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """What is wrong here, or with a cluster: a line each, 1 where something is."""
    from nowt.cluster.this_machine import examine

    none_of(overrides)
    told = examine(Path(typed.store), database_problems(Path(typed.store)))
    if typed.cluster:
        from nowt.cluster.doctor import examine_cluster

        told += examine_cluster(Path(typed.cluster), typed.data_dir)
    for line in told:
        print(line)
    return 1 if any(line.state == "WRONG" for line in told) else 0
