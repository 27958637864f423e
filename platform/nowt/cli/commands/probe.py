"""``nowt probe``."""

import argparse
from pathlib import Path

from nowt.cli.options import machine, none_of
from nowt.cli.parser import Verbs, add_machine, add_verb
from nowt.config.overrides import Override


def add(verbs: Verbs) -> None:
    """Its grammar."""
    text = "measure something on a study's kept checkpoints; again to do what is missing"
    verb = add_verb(verbs, "probe", text, "nowt probe rules_on_digits --metric gradient_cosine")
    verb.add_argument("study", help="name or key of a study in the store")
    verb.add_argument(
        "--metric", required=True, metavar="NAME", help="gradient_cosine, weight_change, cka, or a FILE.py of your own"
    )
    verb.add_argument("--pictures", type=int, default=128, metavar="N", help="of one batch (default: 128)")
    verb.add_argument("--split", default="val", help="whose pictures: train, val, test (default: val)")
    add_machine(verb)


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """A measure on a study's kept checkpoints."""
    import torch

    from nowt.evaluation.probes.registry import find
    from nowt.evaluation.probes.run import probe

    none_of(overrides)
    placement, measure = machine(typed), find(typed.metric)
    torch.set_num_threads(placement.threads)
    print(probe(Path(typed.store), typed.study, measure, placement, typed.pictures, typed.split, say=print))
    print(f"Next: nowt report {typed.study} --store {typed.store}")
    return 0
