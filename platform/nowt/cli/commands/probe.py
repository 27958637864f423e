"""``nowt probe``."""

from argparse import Namespace
from pathlib import Path
from shlex import quote

from nowt.cli.options import add_code, add_local_placement, import_code, local_placement
from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command
from nowt.store.study_file import find_study_files


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "probe",
        "measure a metric on a study's checkpoints; run the same command again to measure what is missing",
        "nowt probe rules_on_digits --metric gradient_cosine",
    )
    parser.add_argument("study", metavar="STUDY", help="name or key of a study in the store")
    parser.add_argument(
        "--metric",
        required=True,
        metavar="NAME",
        help="gradient_cosine, weight_change, cka, or a FILE.py that defines one",
    )
    parser.add_argument(
        "--images", type=int, default=128, metavar="N", help="number of images in the batch (default: %(default)s)"
    )
    parser.add_argument("--split", default="val", help="data split to use: train, val or test (default: %(default)s)")
    add_code(parser)
    add_local_placement(parser)


def run(args: Namespace) -> int:
    """Measure a metric on the checkpoints that a study has kept."""
    from nowt.evaluation.probes.registry import check_metric, find_metric

    placement = local_placement(args)
    check_metric(args.metric)  # before torch is imported
    find_study_files(Path(args.store), args.study)
    import_code(args)
    import torch

    from nowt.evaluation.probes.run import probe

    metric = find_metric(args.metric)
    torch.set_num_threads(placement.threads)
    echo(probe(Path(args.store), args.study, metric, placement, args.images, args.split, echo))
    echo(f"Next: nowt report {args.study} --store {quote(str(args.store))}")
    return 0
