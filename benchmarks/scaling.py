"""Time and cost of ImageNet's recipe on several GPUs, from one GPU's speed and a model of the network.

    python benchmarks/scaling.py                                          the tables of docs/scaling.md
    python benchmarks/scaling.py --speed 310 --bandwidth 25 --price 0.85  your own GPU, network and price

A step on N GPUs takes c + max(0, r - o): c, its computing, is b / speed times the rule's ratio, b = batch / N pictures
a GPU; r is a ring all-reduce of G bytes, 2 (N - 1) / N * G / bandwidth + 2 (N - 1) * latency (Patarasuk and Yuan 2009,
"Bandwidth optimal all-reduce algorithms"); o = 2/3 c * (1 - 1/25) is the backward pass, behind which DDP hides what it
sends, but for its last bucket (a 25th: buckets of 25 MB, few of them). Not in it: reading pictures, scoring, waiting
for the slowest, a GPU less busy at a small b.

G is counted on the network itself. A rule's ratio is that of its step to backprop's, as rule_cost.py measured it on a
CPU; gpu_check.py measures it, and the speed, on a GPU.
"""

import argparse

from nowt.config.recipes import RECIPES, RULES_OF
from nowt.config.run_config import ModelConfig
from nowt.layers.attach import attach
from nowt.models.registry import build_model

RATIOS = {"bp": 1.0, "fa": 1.013, "ss": 1.028, "wm": 1.111, "kp": 1.045}  # rule_cost.py, ResNet-18, a CPU

BACKWARD, LAST_BUCKET = 2 / 3, 1 / 25

PICTURES = 1_281_167


def sent(net: str, streams: int) -> dict[str, float]:
    """Bytes that one worker gives to all-reduce in a training step, by rule; with several streams of mirror noise, B's
    at every mirror step, too."""
    config = RECIPES[net](RULES_OF[net][0])
    found = {}
    for rule in RULES_OF[net]:
        model = build_model(ModelConfig(config.model.name), (3, 224, 224), 1000, seed=0)
        layers = attach(model, rule, seed=0)
        found[rule.name] = 4.0 * sum(p.numel() for p in model.parameters() if p.requires_grad)
        if rule.learns_from == "mirror" and streams > 1:
            interval = getattr(rule, "interval", 1)
            found[rule.name] += 4.0 * sum(layer.feedback.numel() for layer in layers) / interval
    return found


def step_seconds(asked: argparse.Namespace, gpus: int, sent_bytes: float, ratio: float) -> float:
    """One step's seconds by the model above."""
    compute = asked.batch / gpus / asked.speed * ratio
    ring = 2 * (gpus - 1) / gpus * sent_bytes / (asked.bandwidth * 1e9 / 8) + 2 * (gpus - 1) * asked.latency * 1e-6
    return compute + max(0.0, ring - BACKWARD * compute * (1 - LAST_BUCKET))


def hours(asked: argparse.Namespace, gpus: int, sent_bytes: float, ratio: float) -> float:
    """Hours of all epochs."""
    return asked.epochs * (PICTURES // asked.batch) * step_seconds(asked, gpus, sent_bytes, ratio) / 3600


def print_sent(net: str, streams: int) -> None:
    """What a step sends, by rule."""
    print(f"| {net} | " + " | ".join(f"{size / 1e6:.2f}" for size in sent(net, streams).values()) + " |")


def print_hours(asked: argparse.Namespace) -> None:
    """A row a number of GPUs: hours by rule, efficiency and cost under backprop and under all five."""
    sizes = sent(asked.net, asked.streams)
    group = RECIPES[asked.net](RULES_OF[asked.net][0]).model.norm_group or 1
    print(f"| GPUs | pictures a GPU | {' | '.join(f'{rule}, h' for rule in sizes)} | efficiency | cost, five rules |")
    print("| ---: " * (len(sizes) + 4) + "|")
    for gpus in asked.gpus:
        if asked.batch % (gpus * group):
            print(
                f"| {gpus} | – | " + "– | " * len(sizes) + f"– | batch {asked.batch} has no {gpus} shares of {group} |"
            )
            continue
        each = [hours(asked, gpus, size, RATIOS[rule]) for rule, size in sizes.items()]
        alone = hours(asked, 1, 0.0, 1.0)
        shown = " | ".join(f"{one:.1f}" for one in each)
        cost = sum(each) * gpus * asked.price
        print(f"| {gpus} | {asked.batch // gpus} | {shown} | {alone / gpus / each[0]:.0%} | {cost:,.0f} |")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=list(RULES_OF), default="resnet50_imagenet")
    parser.add_argument("--gpus", nargs="+", type=int, default=[8, 16, 32, 64])
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 2048], help="pictures of a step, over all GPUs")
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--speed", type=float, nargs="+", default=[300.0, 1200.0], help="pictures a second and GPU, bp")
    parser.add_argument("--bandwidth", type=float, nargs="+", default=[5.0, 25.0], help="of a GPU's network, Gbit/s")
    parser.add_argument("--streams", type=int, default=1, help="of mirror noise (docs/workers.md)")
    parser.add_argument("--latency", type=float, default=50.0, help="of a message, microseconds")
    parser.add_argument("--price", type=float, default=1.0, help="of a GPU's hour")
    asked = parser.parse_args()
    for name in ("gpus", "batch", "speed", "bandwidth"):
        if min(getattr(asked, name)) <= 0:
            parser.error(f"--{name} must be above 0")
    return asked


def main() -> None:
    """Bytes a step, then hours and cost for each speed, network and batch."""
    asked = parsed()
    print("MB given to all-reduce in a step\n\n| network | bp | fa | ss | wm | kp |\n| --- " + "| ---: " * 5 + "|")
    for net in RULES_OF:
        print_sent(net, asked.streams)
    for speed in asked.speed:
        for bandwidth in asked.bandwidth:
            for batch in asked.batch:
                print(f"\n{asked.net}, {speed:g} pictures/s a GPU, {bandwidth:g} Gbit/s, batch {batch}\n")
                here = {**vars(asked), "speed": speed, "bandwidth": bandwidth, "batch": batch}
                print_hours(argparse.Namespace(**here))


if __name__ == "__main__":
    main()
