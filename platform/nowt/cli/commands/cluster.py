"""``nowt cluster prepare`` and ``nowt cluster teardown``."""

import argparse
from pathlib import Path

from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override
from nowt.core.errors import ConfigError


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(
        verbs,
        "cluster",
        "make beforehand what a cluster.yaml names at AWS (prepare), or remove it (teardown)",
        "nowt cluster prepare cluster.yaml --ssh-from 203.0.113.7/32",
        store=False,
    )
    verb.add_argument(
        "what", choices=["prepare", "teardown"], help="prepare before `ray up`, teardown after `ray down`"
    )
    verb.add_argument("file", nargs="?", default="cluster.yaml", help="default: cluster.yaml")
    verb.add_argument(
        "--ssh-from", default="", metavar="CIDR", help="who may reach port 22: your address/32; commas between several"
    )
    verb.add_argument("--yes", action="store_true", help="do not ask")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """Make what the file names, or remove it."""
    from nowt.cluster.cluster_file import read_cluster
    from nowt.cluster.provision import prepare, teardown

    none_of(overrides)
    file = read_cluster(Path(typed.file))
    if typed.what == "prepare":
        if not typed.ssh_from:
            raise ConfigError("name who may reach port 22: --ssh-from YOUR.ADDRESS/32")
        return prepare(file, typed.ssh_from, typed.yes, say=print)
    if typed.ssh_from:
        raise ConfigError("--ssh-from is for prepare: teardown removes the whole group")
    return teardown(file, typed.yes, say=print)
