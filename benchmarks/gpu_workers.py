"""Tests several workers on the GPUs of one machine. The output is Markdown for docs/scaling.md.

gpu_check.py tests a single GPU.

    python benchmarks/gpu_workers.py                                all GPUs of this machine, about 20 minutes
    python benchmarks/gpu_workers.py --nets resnet18_imagenet --batch 128
    python benchmarks/gpu_workers.py --device cpu --nets resnet18_imagenet --batch 8 --norm-group 4 --size 64 --steps 8
                                                                    a test of the script itself, with two processes

1. A training step of each recipe under each rule on all GPUs (NCCL): milliseconds, relative to bp, images per second,
   memory, whether B is equal bit for bit on all of them, and the bandwidth of an all-reduce of the gradients in Gbit/s.
2. Two workers on one GPU (gloo).
3. Recipes that are killed within an epoch and resumed (imagenet_steps.py): equal bit for bit, or the difference.

Check 1 fails with a message. Check 3 may differ because of the GPU's rounding; please report that.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from nowt.config.placement import Placement
from nowt.config.recipes import RECIPES, RULES_OF, rule_for
from nowt.config.run_config import DataConfig, RunConfig
from nowt.core.distributed import SINGLE_WORKER, Group, ProcessGroup, check_identical
from nowt.data.datasets import open_data
from nowt.training.state import TrainingState

Args = argparse.Namespace

BLOCK = 8  # steps, a multiple of the mirror interval


def machine(device: str) -> str:
    """Hardware and versions, in one line."""
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if device == "cuda" else ["CPU"]
    nccl = ".".join(map(str, torch.cuda.nccl.version())) if device == "cuda" else "none"
    return f"{len(names)} x {names[0]}, torch {torch.__version__}, CUDA {torch.version.cuda}, NCCL {nccl}"


def config_of(args: Args, net: str, rule: str) -> RunConfig:
    """The recipe on synthetic images."""
    config = RECIPES[net](rule_for(net, rule))
    data = DataConfig("synthetic", size=args.size, train_limit=320, score_limit=64)
    model = replace(config.model, norm_group=args.norm_group)
    return replace(config, data=data, model=model, batch=args.batch, test=False)


def timed(args: Args, net: str, rule: str, group: Group) -> dict[str, float]:
    """Median seconds of a step, over blocks, and the peak memory."""
    place = Placement(device=args.device)
    config = config_of(args, net, rule)
    training = TrainingState.create(config, place, open_data(config.data, place, False), group)
    shape = (args.batch // group.size, *training.data.shape)
    x = torch.randn(shape, device=training.device).contiguous(memory_format=torch.channels_last)
    y = torch.randint(training.data.classes, shape[:1], device=training.device)
    blocks = []
    for _ in range(1 + args.steps // BLOCK):
        began = time.perf_counter()
        for _ in range(BLOCK):
            training.train_step(x, y)
        if training.device.type == "cuda":
            torch.cuda.synchronize()
        blocks.append((time.perf_counter() - began) / BLOCK)
    check_identical(group, dict(training.model.named_parameters()), f"after {training.step} steps")
    memory = torch.cuda.max_memory_allocated() / 1e9 if training.device.type == "cuda" else 0.0
    return {"seconds": statistics.median(blocks[1:]), "memory": memory}


def all_reduce_bandwidth(args: Args, net: str, group: Group) -> float:
    """Gbit/s that a worker sends in an all-reduce of the gradients: 2 (N - 1) / N of their bytes (NCCL's "busbw")."""
    config = config_of(args, net, "bp")
    place = Placement(device=args.device)
    training = TrainingState.create(config, place, open_data(config.data, place, False), SINGLE_WORKER)
    gradients = torch.zeros(sum(p.numel() for p in training.model.parameters()), device=training.device)
    times = []
    for _ in range(6):
        began = time.perf_counter()
        dist.all_reduce(gradients)
        if gradients.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    moved = 2 * (group.size - 1) / group.size * gradients.nbytes
    return moved * 8 / 1e9 / statistics.median(times[1:])


def child(args: Args) -> None:
    """Run one process, which prints its measurement as its last line."""
    group: Group = SINGLE_WORKER
    if args.device == "cuda":
        torch.cuda.set_device(args.gpu)
    if args.workers > 1:
        dist.init_process_group(args.backend, init_method=args.meet, rank=args.rank, world_size=args.workers)
        group = ProcessGroup()
    if args.rule:
        print(json.dumps(timed(args, args.net, args.rule, group)))
    else:
        print(json.dumps(all_reduce_bandwidth(args, args.net, group)))


def measured(args: Args, net: str, rule: str, workers: int, one_gpu: bool = False) -> Any:
    """Return the measurement of the first process. Raises SystemExit if a process failed."""
    with tempfile.NamedTemporaryFile() as file:
        given = {**vars(args), "net": net, "rule": rule, "workers": workers, "meet": f"file://{file.name}"}
        given["backend"] = "gloo" if one_gpu or args.device == "cpu" else "cpu:gloo,cuda:nccl"
        ranks = [{**given, "rank": rank, "gpu": 0 if one_gpu else rank} for rank in range(workers)]
        processes = [
            subprocess.Popen([sys.executable, __file__, "--child", json.dumps(rank)], stdout=subprocess.PIPE, text=True)
            for rank in ranks
        ]
        outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"{net} under {rule or 'no rule'} with {workers} workers failed: see above")
    return json.loads(outputs[0].splitlines()[-1])


def print_steps(args: Args, net: str, workers: int, one_gpu: bool = False) -> None:
    """Checks 1 and 2. bp is repeated at the end: its difference from 1 is the measurement error."""
    print("\n| rule | ms per step | x bp | images/s | GB per GPU |\n| --- | ---: | ---: | ---: | ---: |")
    first = None
    for rule in (*(rule.name for rule in RULES_OF[net]), "bp"):
        found = measured(args, net, rule, workers, one_gpu)
        seconds = found["seconds"]
        first = first or seconds
        shown = f"{1e3 * seconds:.1f} | {seconds / first:.3f} | {args.batch / seconds:,.0f} | {found['memory']:.1f}"
        print(f"| {rule} | {shown} |", flush=True)


def print_resumed(args: Args) -> None:
    """Check 3, by imagenet_steps.py."""
    script = str(Path(__file__).with_name("imagenet_steps.py"))
    small = ["--batch", str(min(args.batch, 64)), "--norm-group", str(args.norm_group), "--size", str(args.size)]
    command = [sys.executable, script, "--device", args.device, "--nets", *args.nets, *small]
    print("\n```", flush=True)
    subprocess.run(command, check=False)
    print("```")


def parse_args() -> Args:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--nets", nargs="+", choices=list(RULES_OF), default=list(RULES_OF))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--norm-group", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument(
        "--steps", type=int, default=80, help=f"number of timed steps, in blocks of {BLOCK} (default: %(default)s)"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return args
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no GPU; use --device cpu to test the script itself")
    if args.steps < BLOCK:
        parser.error(f"--steps is {args.steps}: must be at least {BLOCK}")
    return args


def main() -> None:
    """Run all checks, and print Markdown."""
    args = parse_args()
    if args.child:
        return child(Args(**json.loads(args.child)))
    workers = max(2, torch.cuda.device_count()) if args.device == "cuda" else 2
    print(f"## {machine(args.device)}, {time.strftime('%Y-%m-%d')}", flush=True)
    for net in args.nets:
        if args.device == "cpu" or torch.cuda.device_count() > 1:
            print(f"\n### 1. {net}, {args.size} px, batch {args.batch}, {workers} workers")
            print_steps(args, net, workers)
            print(f"\nAll-reduce of the gradients: {measured(args, net, '', workers):.1f} Gbit/s.")
        print(f"\n### 2. {net}, two workers on one device")
        print_steps(args, net, 2, one_gpu=True)
    print("\n### 3. Killed and resumed")
    print_resumed(args)


if __name__ == "__main__":
    main()
