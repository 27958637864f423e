"""``nowt deliver``."""

import argparse
from pathlib import Path

from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override
from nowt.core.errors import ConfigError
from nowt.core.urls import VARIABLE, address, address_in_environment


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(
        verbs,
        "deliver",
        "send a server what it does not have yet, from the logs",
        "nowt deliver --to http://127.0.0.1:5000",
    )
    verb.add_argument("--to", default="", metavar="URL", help="the server (default: NOWT_RECORD)")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """What a server does not have yet."""
    none_of(overrides)
    url = address(typed.to, "--to") if typed.to else address_in_environment()
    if not url:
        raise ConfigError(f"name the server: --to http://127.0.0.1:5000, or {VARIABLE} in the environment")
    from nowt.tracking.delivery import deliver

    print(f"{deliver(Path(typed.store), url, print)} runs that waited are delivered to {url}")
    return 0
