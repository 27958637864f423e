"""``nowt data``."""

import os
from argparse import Namespace
from pathlib import Path

from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command, local_path, one_of
from nowt.core.errors import require

NAMES = ["imagenet", "tiny-imagenet"]

NEXT = {
    "imagenet": "nowt plan rules_on_imagenet --data-dir",
    "tiny-imagenet": "nowt plan rules_on_folder --data-dir",  # at 64 pixels, the size of its images
}


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "data",
        "verify a copy of ImageNet or Tiny ImageNet and lay it out for training; run the same command again to resume",
        "nowt data prepare imagenet /data/ilsvrc /data/imagenet",
        store=False,
    )
    parser.add_argument("action", type=one_of("prepare"), choices=["prepare"], help="verify the copy, and lay it out")
    parser.add_argument("name", type=one_of(*NAMES), choices=NAMES, help="the data set")
    parser.add_argument(
        "source",
        type=local_path,
        metavar="SRC",
        help="the copy: class folders, tar files, or Tiny ImageNet's zip; it is not changed",
    )
    parser.add_argument(
        "target", type=local_path, metavar="DST", help="a new folder for train/, val/ and the list of images"
    )
    parser.add_argument(
        "--copy", action="store_true", help="copy the images instead of hard-linking them (archives: always copied)"
    )
    parser.add_argument(
        "--partial", action="store_true", help="accept an incomplete copy, and leave out images that are broken"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="threads that check images (default: all CPU cores)")


def run(args: Namespace) -> int:
    """Verify a copy of a data set and lay it out for training."""
    from nowt.data.imagenet.prepare import PrepareOptions, prepare

    jobs = len(os.sched_getaffinity(0)) if args.jobs is None else args.jobs
    require(jobs >= 1, f"--jobs is {jobs}: it must be at least 1")
    options = PrepareOptions(Path(args.source), Path(args.target), args.copy, args.partial, jobs, args.name)
    if not prepare(options, echo):
        return 1
    echo(f"Next: {NEXT[args.name]} {args.target}")
    return 0
