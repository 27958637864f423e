"""Estimates time and cost of the ImageNet recipes on several GPUs, from the speed of one GPU and a network model.

    python benchmarks/scaling.py                                          the tables of docs/scaling.md
    python benchmarks/scaling.py --speed 310 --bandwidth 25 --price 0.85  your own GPU, network and price

A step on N GPUs takes c + max(0, r - o). c is computing: b / speed times the rule's ratio, with b = batch / N images
per GPU. r is a ring all-reduce of G bytes: 2 (N - 1) / N * G / bandwidth + 2 (N - 1) * latency (Patarasuk and Yuan
2009, "Bandwidth optimal all-reduce algorithms"). o = 2/3 c * (1 - 1/25) is the backward pass, with which DDP overlaps
all communication but its last bucket (a 25th: a few buckets of 25 MB). Not modeled: image loading, evaluation,
waiting for the slowest worker, and lower GPU utilization at a small b.

G is counted on the network itself. A rule's ratio is the cost of its step relative to backprop, measured by
rule_cost.py on a CPU; gpu_check.py measures ratio and speed on a GPU.
"""

import argparse

from nowt.config.recipes import RECIPES, RULES_OF
from nowt.config.run_config import ModelConfig
from nowt.layers.attach import attach
from nowt.models.registry import build_model

RATIOS = {"bp": 1.0, "fa": 1.013, "ss": 1.028, "wm": 1.111, "kp": 1.045}  # rule_cost.py, ResNet-18, a CPU

BACKWARD, LAST_BUCKET = 2 / 3, 1 / 25

TRAIN_IMAGES = 1_281_167


def bytes_sent(net: str, streams: int) -> dict[str, float]:
    """Bytes that one worker passes to all-reduce per training step, by rule.

    With several streams of mirror noise, B is also sent at every mirror step.
    """
    config = RECIPES[net](RULES_OF[net][0])
    found = {}
    for rule in RULES_OF[net]:
        model = build_model(ModelConfig(config.model.name), (3, 224, 224), 1000, seed=0)
        layers = attach(model, rule, seed=0, quiet=True)
        found[rule.name] = 4.0 * sum(p.numel() for p in model.parameters() if p.requires_grad)
        if rule.learns_from == "mirror" and streams > 1:
            interval = getattr(rule, "interval", 1)
            found[rule.name] += 4.0 * sum(layer.feedback.numel() for layer in layers) / interval
    return found


def step_seconds(args: argparse.Namespace, gpus: int, sent_bytes: float, ratio: float) -> float:
    """Duration of one step by the model above."""
    compute = args.batch / gpus / args.speed * ratio
    ring = 2 * (gpus - 1) / gpus * sent_bytes / (args.bandwidth * 1e9 / 8) + 2 * (gpus - 1) * args.latency * 1e-6
    return compute + max(0.0, ring - BACKWARD * compute * (1 - LAST_BUCKET))


def hours(args: argparse.Namespace, gpus: int, sent_bytes: float, ratio: float) -> float:
    """Hours of all epochs."""
    return args.epochs * (TRAIN_IMAGES // args.batch) * step_seconds(args, gpus, sent_bytes, ratio) / 3600


def print_sent(net: str, streams: int) -> None:
    """Print what a step sends, by rule."""
    print(f"| {net} | " + " | ".join(f"{size / 1e6:.2f}" for size in bytes_sent(net, streams).values()) + " |")


def print_hours(args: argparse.Namespace) -> None:
    """Print one row per number of GPUs: hours by rule, efficiency under backprop, and the cost of all five rules."""
    sizes = bytes_sent(args.net, args.streams)
    group = RECIPES[args.net](RULES_OF[args.net][0]).model.norm_group or 1
    print(f"| GPUs | images per GPU | {' | '.join(f'{rule}, h' for rule in sizes)} | efficiency | cost, five rules |")
    print("| ---: " * (len(sizes) + 4) + "|")
    for gpus in args.gpus:
        if args.batch % (gpus * group):
            print(
                f"| {gpus} | – | "
                + "– | " * len(sizes)
                + f"– | batch {args.batch} is not divisible into {gpus} multiples of {group} |"
            )
            continue
        each = [hours(args, gpus, size, RATIOS[rule]) for rule, size in sizes.items()]
        alone = hours(args, 1, 0.0, 1.0)
        shown = " | ".join(f"{one:.1f}" for one in each)
        cost = sum(each) * gpus * args.price
        print(f"| {gpus} | {args.batch // gpus} | {shown} | {alone / gpus / each[0]:.0%} | {cost:,.0f} |")


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=list(RULES_OF), default="resnet50_imagenet")
    parser.add_argument("--gpus", nargs="+", type=int, default=[8, 16, 32, 64])
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 2048], help="images per step, over all GPUs")
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument(
        "--speed", type=float, nargs="+", default=[300.0, 1200.0], help="images per second and GPU under bp"
    )
    parser.add_argument(
        "--bandwidth", type=float, nargs="+", default=[5.0, 25.0], help="network bandwidth per GPU, Gbit/s"
    )
    parser.add_argument("--streams", type=int, default=1, help="streams of mirror noise (docs/workers.md)")
    parser.add_argument("--latency", type=float, default=50.0, help="latency of a message, microseconds")
    parser.add_argument("--price", type=float, default=1.0, help="price of a GPU hour")
    args = parser.parse_args()
    for name in ("gpus", "batch", "speed", "bandwidth"):
        if min(getattr(args, name)) <= 0:
            parser.error(f"--{name} must be above 0")
    return args


def main() -> None:
    """Print bytes per step, then hours and cost for each speed, bandwidth and batch."""
    args = parse_args()
    print("MB passed to all-reduce per step\n\n| network | bp | fa | ss | wm | kp |\n| --- " + "| ---: " * 5 + "|")
    for net in RULES_OF:
        print_sent(net, args.streams)
    for speed in args.speed:
        for bandwidth in args.bandwidth:
            for batch in args.batch:
                print(f"\n{args.net}, {speed:g} images/s per GPU, {bandwidth:g} Gbit/s, batch {batch}\n")
                here = {**vars(args), "speed": speed, "bandwidth": bandwidth, "batch": batch}
                print_hours(argparse.Namespace(**here))


if __name__ == "__main__":
    main()
