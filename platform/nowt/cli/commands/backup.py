"""``nowt backup``."""

import argparse
import signal
from functools import partial
from pathlib import Path
from threading import Event

from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override
from nowt.core.errors import require


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(verbs, "backup", "copy the store into a bucket", "nowt backup s3://lab/nowt/store --every 240")
    verb.add_argument("url", metavar="s3://BUCKET/PREFIX", help="a prefix for this store alone")
    verb.add_argument("--every", type=float, metavar="S", help="again every S seconds, and at the end (default: once)")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """The store into a bucket; with --every until Ctrl-C or SIGTERM, and once more then."""
    from nowt.store.sync.backup import backup

    none_of(overrides)
    require(typed.every is None or typed.every > 0, f"--every is {typed.every}: it must be more than 0 seconds")
    end = Event()
    if typed.every is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: end.set())
    backup(Path(typed.store), typed.url, typed.every, partial(print, flush=True), end)
    return 0
