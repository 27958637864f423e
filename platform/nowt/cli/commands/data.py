"""``nowt data``."""

import argparse
import os
from pathlib import Path

from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override
from nowt.core.errors import require


def add(verbs: Verbs) -> None:
    """Its grammar."""
    text = "check an ILSVRC2012 copy, lay it out for training, and list it; again to go on where it stopped"
    example = "nowt data prepare imagenet /data/ilsvrc /data/imagenet"
    verb = add_verb(verbs, "data", text, example, store=False)
    verb.add_argument("what", choices=["prepare"])
    verb.add_argument("name", choices=["imagenet"])
    verb.add_argument("source", metavar="SRC", help="the copy: class folders or tar files; never written to")
    verb.add_argument("target", metavar="DST", help="a new folder for train/, val/ and the list of pictures")
    copied = "copy the pictures, not hard links (out of tar files they are always copied)"
    verb.add_argument("--copy", action="store_true", help=copied)
    taken = "take a copy that is not whole, without its broken pictures"
    verb.add_argument("--partial", action="store_true", help=taken)
    verb.add_argument("--jobs", type=int, metavar="N", help="threads that look at pictures (default: all cores)")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """Check an ILSVRC copy and lay it out for training."""
    from nowt.data.imagenet.prepare import Asked, prepare

    none_of(overrides)
    jobs = len(os.sched_getaffinity(0)) if typed.jobs is None else typed.jobs
    require(jobs >= 1, f"--jobs is {jobs}: it must be at least 1")
    asked = Asked(Path(typed.source), Path(typed.target), typed.copy, typed.partial, jobs)
    if not prepare(asked, print):
        return 1
    print(f"Next: nowt plan rules_on_imagenet --data-dir {typed.target}")
    return 0
