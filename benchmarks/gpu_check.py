"""What nowt could not test without a GPU, tested on yours: the output is Markdown for docs/scaling.md.

    python benchmarks/gpu_check.py                                all GPUs of this machine, some 20 minutes
    python benchmarks/gpu_check.py --nets resnet18_imagenet --batch 128
    python benchmarks/gpu_check.py --device cpu --nets resnet18_imagenet --batch 8 --norm-group 4 --size 64 --steps 8
                                                                  whether the script works, with two processes

1. the same training in float64 on GPU and CPU, every rule: largest difference of a loss over 20 steps (below 1e-9);
2. a step of each recipe under each rule, as a run does it: milliseconds, against bp, pictures a second, memory;
3. the same shared by all GPUs (NCCL): milliseconds, pictures a second, B the same bit for bit on all of them, and
   what an all-reduce of the gradients reaches in Gbit/s;
4. two workers on one GPU (gloo);
5. recipes killed in mid-epoch and gone on with (imagenet_steps.py): equal bit for bit, or by how far.

1 to 3 fail with a sentence where they do not hold; a GPU's own rounding may make 5 differ, and is then worth a report.
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
from nowt.config.recipes import RECIPES, RULES_OF, digits, rule_for
from nowt.config.run_config import DataConfig, RunConfig
from nowt.core.distributed import SINGLE_WORKER, Group, ProcessGroup, check_identical
from nowt.data.datasets import open_data
from nowt.rules.registry import find_rule
from nowt.training.loop import train
from nowt.training.state import TrainingState

Asked = argparse.Namespace

BLOCK = 8  # steps: a whole number of mirror intervals


def machine(device: str) -> str:
    """The hardware and the versions, in a line."""
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if device == "cuda" else ["CPU"]
    nccl = ".".join(map(str, torch.cuda.nccl.version())) if device == "cuda" else "none"
    return f"{len(names)} x {names[0]}, torch {torch.__version__}, CUDA {torch.version.cuda}, NCCL {nccl}"


def losses(rule: str, device: str) -> list[float]:
    """Training losses of 20 steps of a small float64 net, an epoch a step."""
    data = DataConfig("digits", train_limit=320, score_limit=64)
    config = replace(digits(find_rule(rule)()), data=data, epochs=20, batch=320, precision="float64", test=False)
    return [epoch.train_loss for epoch in train(config, Placement(device=device))][1:]


def print_equal(device: str) -> None:
    """Check 1."""
    print("| rule | largest difference of a loss, GPU against CPU |\n| --- | ---: |")
    for rule in ("bp", "fa", "ss", "wm", "kp"):
        pairs = zip(losses(rule, device), losses(rule, "cpu"), strict=True)
        apart = max(abs(here - there) / abs(there) for here, there in pairs)
        print(f"| {rule} | {apart:.1e} |", flush=True)
        if not apart < 1e-9:
            raise SystemExit(f"{rule} computes other losses on {device} than on a CPU: {apart:.1e} apart")


def config_of(asked: Asked, net: str, rule: str) -> RunConfig:
    """The recipe, on pictures that are made up."""
    config = RECIPES[net](rule_for(net, rule))
    data = DataConfig("synthetic", size=asked.size, train_limit=320, score_limit=64)
    model = replace(config.model, norm_group=asked.norm_group)
    return replace(config, data=data, model=model, batch=asked.batch, test=False)


def timed(asked: Asked, net: str, rule: str, group: Group) -> dict[str, float]:
    """Median seconds of a step, over blocks, and the most memory that it took."""
    place = Placement(device=asked.device)
    config = config_of(asked, net, rule)
    training = TrainingState.create(config, place, open_data(config.data, place, False), group)
    shape = (asked.batch // group.size, *training.data.shape)
    x = torch.randn(shape, device=training.device).contiguous(memory_format=torch.channels_last)
    y = torch.randint(training.data.classes, shape[:1], device=training.device)
    blocks = []
    for _ in range(1 + asked.steps // BLOCK):
        began = time.perf_counter()
        for _ in range(BLOCK):
            training.train_step(x, y)
        if training.device.type == "cuda":
            torch.cuda.synchronize()
        blocks.append((time.perf_counter() - began) / BLOCK)
    check_identical(group, dict(training.model.named_parameters()), f"after {training.step} steps")
    memory = torch.cuda.max_memory_allocated() / 1e9 if training.device.type == "cuda" else 0.0
    return {"seconds": statistics.median(blocks[1:]), "memory": memory}


def reduced(asked: Asked, net: str, group: Group) -> float:
    """Gbit/s that a worker sends in an all-reduce of the gradients: 2 (N - 1) / N of their bytes (NCCL's "busbw")."""
    config = config_of(asked, net, "bp")
    place = Placement(device=asked.device)
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


def child(asked: Asked) -> None:
    """One process: its measurement is its last line."""
    group: Group = SINGLE_WORKER
    if asked.device == "cuda":
        torch.cuda.set_device(asked.gpu)
    if asked.workers > 1:
        dist.init_process_group(asked.backend, init_method=asked.meet, rank=asked.rank, world_size=asked.workers)
        group = ProcessGroup()
    if asked.rule:
        print(json.dumps(timed(asked, asked.net, asked.rule, group)))
    else:
        print(json.dumps(reduced(asked, asked.net, group)))


def measured(asked: Asked, net: str, rule: str, workers: int, one_gpu: bool = False) -> Any:
    """What the first of so many processes measured. Raises SystemExit where one failed."""
    with tempfile.NamedTemporaryFile() as file:
        given = {**vars(asked), "net": net, "rule": rule, "workers": workers, "meet": f"file://{file.name}"}
        given["backend"] = "gloo" if one_gpu or asked.device == "cpu" else "cpu:gloo,cuda:nccl"
        ranks = [{**given, "rank": rank, "gpu": 0 if one_gpu else rank} for rank in range(workers)]
        crew = [
            subprocess.Popen(
                [sys.executable, __file__, "--child", json.dumps(words)], stdout=subprocess.PIPE, text=True
            )
            for words in ranks
        ]
        said = [process.communicate()[0] for process in crew]
    if any(process.returncode for process in crew):
        raise SystemExit(f"{net} under {rule or 'no rule'} with {workers} workers failed: see above")
    return json.loads(said[0].splitlines()[-1])


def print_steps(asked: Asked, net: str, workers: int, one_gpu: bool = False) -> None:
    """Checks 2, 3 and 4; bp comes again at the end: how far it is from 1 is the error of the measurement."""
    print("\n| rule | ms a step | x bp | pictures/s | GB a GPU |\n| --- | ---: | ---: | ---: | ---: |")
    first = None
    for rule in (*(rule.name for rule in RULES_OF[net]), "bp"):
        found = measured(asked, net, rule, workers, one_gpu)
        seconds = found["seconds"]
        first = first or seconds
        shown = f"{1e3 * seconds:.1f} | {seconds / first:.3f} | {asked.batch / seconds:,.0f} | {found['memory']:.1f}"
        print(f"| {rule} | {shown} |", flush=True)


def print_resumed(asked: Asked) -> None:
    """Check 5, in the words of imagenet_steps.py."""
    script = str(Path(__file__).with_name("imagenet_steps.py"))
    small = ["--batch", str(min(asked.batch, 64)), "--norm-group", str(asked.norm_group), "--size", str(asked.size)]
    words = [sys.executable, script, "--device", asked.device, "--nets", *asked.nets, *small]
    print("\n```", flush=True)
    subprocess.run(words, check=False)
    print("```")


def parsed() -> Asked:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--nets", nargs="+", choices=list(RULES_OF), default=list(RULES_OF))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--norm-group", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=80, help=f"timed, in blocks of {BLOCK}")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        return asked
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here that torch can use; --device cpu tries the script alone")
    if asked.steps < BLOCK:
        parser.error(f"--steps is {asked.steps}: it must be at least {BLOCK}")
    return asked


def main() -> None:
    """All checks, as Markdown."""
    asked = parsed()
    if asked.child:
        return child(Asked(**json.loads(asked.child)))
    workers = max(2, torch.cuda.device_count()) if asked.device == "cuda" else 2
    print(f"## {machine(asked.device)}, {time.strftime('%Y-%m-%d')}\n\n### 1. As a CPU computes it\n", flush=True)
    print_equal(asked.device)
    for net in asked.nets:
        print(f"\n### 2. {net}, {asked.size} px, batch {asked.batch}")
        print_steps(asked, net, 1)
        if asked.device == "cpu" or torch.cuda.device_count() > 1:
            print(f"\n### 3. {net}, shared by {workers}")
            print_steps(asked, net, workers)
            print(f"\nAll-reduce of the gradients: {measured(asked, net, '', workers):.1f} Gbit/s.")
        print(f"\n### 4. {net}, two workers on one device")
        print_steps(asked, net, 2, one_gpu=True)
    print("\n### 5. Killed and gone on with")
    print_resumed(asked)


if __name__ == "__main__":
    main()
