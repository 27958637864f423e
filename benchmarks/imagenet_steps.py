"""Checks that a few steps of the ImageNet recipes, killed and resumed, end in the state of an uninterrupted run.

    python benchmarks/imagenet_steps.py                       five rules, both networks, 1,000 classes of random images
    python benchmarks/imagenet_steps.py --workers 2           the same, with two processes per run
    python benchmarks/imagenet_steps.py --nets resnet18_imagenet --rules kp wm --batch 16
    python benchmarks/imagenet_steps.py --data-dir DIR --device cuda --batch 256 --norm-group 32 --mirror recipe

Each run is a separate process, like ``nowt train``: it evaluates the validation images, trains, and writes a checkpoint
after every step. One run gets a SIGKILL when the checkpoint of a step within an epoch exists; another process resumes
it. Weights, B, running statistics and momenta must then be equal bit for bit (on a CPU). Images are 224 px, in the
recipe's bfloat16.

With ``--mirror recipe``, mirror mode is that of the recipe. Its 160 mirror steps before learning take an hour per run
on a CPU, so by default it has 4 samples, 2 mirror steps before learning, and then one every 2 steps.
"""

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image

from nowt.config.placement import Placement
from nowt.config.recipes import IMAGENET_RULES, RECIPES, rule_for
from nowt.config.run_config import RunConfig
from nowt.core.distributed import SINGLE_WORKER, Group, ProcessGroup
from nowt.data.imagenet.prepare import PrepareOptions, prepare
from nowt.rules.weight_mirror import WeightMirror
from nowt.training import checkpoint
from nowt.training.loop import TrainingInterrupted, train

CLASSES = 1000


def draw(root: Path, size: int = 256, pool: int = 20) -> None:
    """Write an ILSVRC copy in class folders: one random training and validation image per class."""
    images = []
    for seed in range(pool):
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((size * 4 // 3, size), Image.Resampling.BICUBIC).save(file, "jpeg")
        images.append(file.getvalue())
    for number in range(CLASSES):
        wnid = f"n{1440764 + number:08}"
        for part, name in (("train", f"{wnid}_1"), ("val", f"ILSVRC2012_val_{number + 1:08}")):
            folder = root / part / wnid
            folder.mkdir(parents=True)
            (folder / f"{name}.JPEG").write_bytes(images[number % pool])


def config_of(recipe: str, rule: str, args: argparse.Namespace) -> RunConfig:
    """The recipe with the rule and the given batch size, without test images."""
    config = RECIPES[recipe](rule_for(recipe, rule))
    if isinstance(config.rule, WeightMirror) and args.mirror == "few":
        config = replace(config, rule=replace(config.rule, samples=4, warmup=2, interval=2))
    model = replace(config.model, norm_group=args.norm_group)
    data = replace(config.data, size=args.size)
    probe = replace(config.probe, samples=args.norm_group)
    return replace(config, model=model, data=data, batch=args.batch, probe=probe, test=False)


def run(args: argparse.Namespace) -> None:
    """Train the remaining steps, from the checkpoint in the folder if there is one."""
    steps = {int(path.stem.partition("-")[2]) for path in Path(args.folder).glob("step-*.pt")}
    left: int = args.steps - max(steps, default=0)

    def should_stop() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    place = Placement(
        store=args.store, data=args.data_dir, device=args.device, loaders=args.loaders, checkpoint_seconds=0.0
    )
    config, group = config_of(args.nets[0], args.rules[0], args), join_group(args)
    with suppress(TrainingInterrupted):
        list(train(config, place, checkpoints=Path(args.folder), should_stop=should_stop, group=group))


def join_group(args: argparse.Namespace) -> Group:
    """Join the workers of this run."""
    if args.workers == 1:
        return SINGLE_WORKER
    backend = "gloo" if args.device == "cpu" else "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, init_method=args.meet, rank=args.rank, world_size=args.workers)
    return ProcessGroup()


RunProcesses = list["subprocess.Popen[bytes]"]


def start_run(args: argparse.Namespace, recipe: str, rule: str, folder: Path) -> RunProcesses:
    """``run`` in a process of its own for each worker."""
    with tempfile.NamedTemporaryFile(dir=folder.parent) as file:
        meet = f"file://{file.name}"
    given = {**vars(args), "folder": str(folder), "nets": [recipe], "rules": [rule], "meet": meet}
    ranks = [json.dumps({**given, "rank": rank}) for rank in range(args.workers)]
    return [subprocess.Popen([sys.executable, __file__, "--child", words]) for words in ranks]


def wait_for(processes: RunProcesses, what: str) -> None:
    """Wait for the processes of a run. Raises SystemExit if one failed."""
    if any([process.wait() for process in processes]):
        raise SystemExit(f"{what} failed")


def kill_at_step(processes: RunProcesses, folder: Path, step: int) -> None:
    """Kill the processes of a run when the checkpoint of that step exists."""
    while not (folder / f"step-{step:09d}.pt").exists():
        if any(process.poll() is not None for process in processes):
            raise SystemExit("the run ended before it could be killed")
        time.sleep(0.05)
    for process in processes:
        process.kill()
        process.wait()


def digest(folder: Path) -> str:
    """Hash weights, B, statistics and momenta of the newest checkpoint."""
    state = checkpoint.load(folder)
    assert state is not None
    tensors = {**state["model"]}
    for number, memory in state["optimizer"]["state"].items():
        tensors |= {f"{number}.{name}": value for name, value in memory.items() if isinstance(value, torch.Tensor)}
    text = hashlib.sha256(str(state["step"]).encode())
    for name in sorted(tensors):
        text.update(name.encode() + tensors[name].numpy().tobytes())
    return text.hexdigest()[:16]


def compare(args: argparse.Namespace, recipe: str, rule: str, work: Path) -> bool:
    """Run one rule on one network; print a line, and return whether both final states are equal."""
    started = time.perf_counter()
    uninterrupted, killed = work / "uninterrupted", work / "killed"
    wait_for(start_run(args, recipe, rule, uninterrupted), f"{recipe} under {rule}")
    kill_at_step(start_run(args, recipe, rule, killed), killed, args.steps // 2)
    wait_for(start_run(args, recipe, rule, killed), f"{recipe} under {rule}, resumed,")
    ends = digest(uninterrupted), digest(killed)
    same = "the same" if ends[0] == ends[1] else f"DIFFERENT from {ends[1]}"
    minutes = (time.perf_counter() - started) / 60
    print(f"{recipe:18} {rule:3} {args.steps} steps: {ends[0]}, killed: {same} ({minutes:.1f} min)", flush=True)
    return ends[0] == ends[1]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=["resnet18_imagenet", "resnet50_imagenet"])
    parser.add_argument("--rules", nargs="+", default=[rule.name for rule in IMAGENET_RULES])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--norm-group", type=int, default=4)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--mirror", choices=["few", "recipe"], default="few")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--loaders", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes per run (default: %(default)s)")
    parser.add_argument("--data-dir", default="", help="prepared images, instead of random ones")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run every rule on every network; return 1 if a final state differs."""
    args = parse_args()
    if args.child:
        run(argparse.Namespace(**json.loads(args.child)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        args.store = f"{name}/store"
        if not args.data_dir:
            draw(Path(name) / "drawn")
            args.data_dir = f"{name}/imagenet"
            prepare(PrepareOptions(Path(name) / "drawn", Path(args.data_dir), partial=True), lambda _: None)
        same = []
        for recipe in args.nets:
            for rule in args.rules:
                with tempfile.TemporaryDirectory(dir=name) as work:
                    same.append(compare(args, recipe, rule, Path(work)))
    print(f"{sum(same)} of {len(same)} ended in the state of the uninterrupted run")
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
