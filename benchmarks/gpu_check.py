"""Tests on a GPU what could not be tested without one. The output is Markdown for docs/scaling.md.

    python benchmarks/gpu_check.py --cifar FOLDER         at most 8 minutes; without --cifar, images are generated
    python benchmarks/gpu_check.py --parts steps cifar    some of the parts
    python benchmarks/gpu_check.py --device cpu --smallest
                                                          a test of the script itself, in a minute and without a GPU

1. equal: the same training in float64 on GPU and CPU, under every rule. It fails if a loss differs by 1e-9 or more.
2. waits: how often a training step and a mirror step read a number, copy to or from the CPU, or wait. All must be 0.
3. resumed: runs of kp and wm that stop within an epoch and resume. Equal bit for bit, or the difference.
4. cifar: seconds of training to 94 % on CIFAR-10 under five rules, with a recipe close to airbench.
5. steps: a training step of an ImageNet recipe under each rule, in float32, in bfloat16, and compiled: milliseconds,
   relative to bp, images per second.

A part or row that would begin after ``--minutes`` is left out, and the output says so. Several GPUs, and several
workers on one, are for gpu_workers.py.
"""

import argparse
import time

import torch
from gpu.cifar import print_cifar
from gpu.equality import print_equal, print_resumed
from gpu.options import Options, skipped
from gpu.steps import print_steps
from gpu.waits import print_waits

from nowt.config.recipes import RULES_OF

PARTS = {
    "equal": ("Equal to the CPU", lambda options: print_equal(options, steps=2 if options.device == "cpu" else 8)),
    "waits": ("Reads, copies and waits in a step", print_waits),
    "resumed": ("Interrupted and resumed", print_resumed),
    "cifar": ("Seconds to 94 % on CIFAR-10", print_cifar),
    "steps": ("Cost of a training step", print_steps),
}


def machine(device: str) -> str:
    """Hardware and versions, in one line."""
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    return f"{name}, torch {torch.__version__}, CUDA {torch.version.cuda if device == 'cuda' else 'none'}"


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="default: all")
    parser.add_argument("--minutes", type=float, default=7.0, help="when no part or row begins any more (default: 7)")
    parser.add_argument("--cifar", default="", metavar="FOLDER", help="CIFAR-10's binary version, or image folders")
    parser.add_argument("--net", choices=list(RULES_OF), default="resnet18_imagenet")
    parser.add_argument("--batch", type=int, default=256, help="images per step of the part steps")
    parser.add_argument("--epochs", type=int, default=15, help="of the part cifar (default: 15)")
    parser.add_argument("--smallest", action="store_true", help="the smallest sizes, to test the script itself")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no GPU; use --device cpu --smallest to test the script itself")
    return args


def options_of(args: argparse.Namespace) -> Options:
    """Return what is measured."""
    small = args.smallest
    return Options(
        device=args.device,
        minutes=args.minutes,
        cifar=args.cifar,
        net="digits" if small else args.net,
        batch=4 if small else args.batch,
        size=32 if small else 224,
        rounds=1 if small else 5,
        images=64 if small else 50_000,
        width=2 if small else 64,
        epochs=1 if small else args.epochs,
        compiles=not small,
    )


def main() -> None:
    """Run the parts, and print Markdown."""
    args = parse_args()
    torch.backends.cudnn.benchmark = True
    options = options_of(args)
    print(f"## {machine(args.device)}, {time.strftime('%Y-%m-%d')}", flush=True)
    for part in args.parts:
        title, act = PARTS[part]
        print(f"\n### {title}\n", flush=True)
        if options.seconds_left < 0:
            skipped(part)
        else:
            act(options)
    print(f"\nDone in {options.minutes - options.seconds_left / 60:.1f} minutes.")


if __name__ == "__main__":
    main()
