"""A few steps of ImageNet's recipes, killed in the middle and gone on with: do they end where one never killed does?

    python benchmarks/imagenet_steps.py                       five rules, both nets, 1,000 classes of drawn pictures
    python benchmarks/imagenet_steps.py --workers 2           the same, each run shared by two processes
    python benchmarks/imagenet_steps.py --nets resnet18_imagenet --rules kp wm --batch 16
    python benchmarks/imagenet_steps.py --data-dir DIR --device cuda --batch 256 --norm-group 32 --mirror recipe

Each run is a process of its own, as `nowt train` is: it scores the validation pictures, trains, and writes a checkpoint
after every step. The one that is killed gets a SIGKILL once the checkpoint of a step in mid-epoch is there; a third
process goes on from it. Their weights, B, statistics and momenta must then be equal bit for bit (on a CPU). Pictures
are 224 px in the recipe's bfloat16. Mirror mode is the recipe's with ``--mirror recipe``; a CPU would be at its 160
mirror steps before learning for an hour a run, so by default it has 4 samples, 2 mirror steps before learning and then
one in 2.
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
    """An ILSVRC copy in class folders: one training and one validation picture a class, drawn."""
    drawn = []
    for seed in range(pool):
        few = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(few).resize((size * 4 // 3, size), Image.Resampling.BICUBIC).save(file, "jpeg")
        drawn.append(file.getvalue())
    for number in range(CLASSES):
        wnid = f"n{1440764 + number:08}"
        for part, name in (("train", f"{wnid}_1"), ("val", f"ILSVRC2012_val_{number + 1:08}")):
            folder = root / part / wnid
            folder.mkdir(parents=True)
            (folder / f"{name}.JPEG").write_bytes(drawn[number % pool])


def config_of(recipe: str, rule: str, asked: argparse.Namespace) -> RunConfig:
    """The recipe under the rule, with the batch that was asked for and no test pictures."""
    config = RECIPES[recipe](rule_for(recipe, rule))
    if isinstance(config.rule, WeightMirror) and asked.mirror == "few":
        config = replace(config, rule=replace(config.rule, samples=4, warmup=2, interval=2))
    model = replace(config.model, norm_group=asked.norm_group)
    data = replace(config.data, size=asked.size)
    probe = replace(config.probe, samples=asked.norm_group)
    return replace(config, model=model, data=data, batch=asked.batch, probe=probe, test=False)


def run(asked: argparse.Namespace) -> None:
    """Train so many steps, from the checkpoint in the folder if there is one; with several workers, as one of them."""
    steps = {int(path.stem.partition("-")[2]) for path in Path(asked.folder).glob("step-*.pt")}
    left: int = asked.steps - max(steps, default=0)

    def should_stop() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    place = Placement(
        store=asked.store, data=asked.data_dir, device=asked.device, loaders=asked.loaders, checkpoint_seconds=0.0
    )
    config, group = config_of(asked.nets[0], asked.rules[0], asked), joined(asked)
    with suppress(TrainingInterrupted):
        list(train(config, place, checkpoints=Path(asked.folder), should_stop=should_stop, group=group))


def joined(asked: argparse.Namespace) -> Group:
    """The workers of this run."""
    if asked.workers == 1:
        return SINGLE_WORKER
    backend = "gloo" if asked.device == "cpu" else "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, init_method=asked.meet, rank=asked.rank, world_size=asked.workers)
    return ProcessGroup()


Crew = list["subprocess.Popen[bytes]"]


def crew(asked: argparse.Namespace, recipe: str, rule: str, folder: Path) -> Crew:
    """``run`` in a process of its own for each worker."""
    with tempfile.NamedTemporaryFile(dir=folder.parent) as file:
        meet = f"file://{file.name}"
    given = {**vars(asked), "folder": str(folder), "nets": [recipe], "rules": [rule], "meet": meet}
    ranks = [json.dumps({**given, "rank": rank}) for rank in range(asked.workers)]
    return [subprocess.Popen([sys.executable, __file__, "--child", words]) for words in ranks]


def finished(processes: Crew, what: str) -> None:
    """Wait for the run's processes; SystemExit where one failed."""
    if any([process.wait() for process in processes]):
        raise SystemExit(f"{what} failed")


def killed_in_the_middle(processes: Crew, folder: Path, step: int) -> None:
    """Kill the run's processes when the checkpoint of that step is there."""
    while not (folder / f"step-{step:09d}.pt").exists():
        if any(process.poll() is not None for process in processes):
            raise SystemExit("the run to be killed ended by itself")
        time.sleep(0.05)
    for process in processes:
        process.kill()
        process.wait()


def digest(folder: Path) -> str:
    """A hash of the newest checkpoint's weights, B, statistics and momenta."""
    state = checkpoint.load(folder, torch.device("cpu"))
    assert state is not None
    tensors = {**state["model"]}
    for number, memory in state["optimizer"]["state"].items():
        tensors |= {f"{number}.{name}": value for name, value in memory.items() if isinstance(value, torch.Tensor)}
    text = hashlib.sha256(str(state["step"]).encode())
    for name in sorted(tensors):
        text.update(name.encode() + tensors[name].numpy().tobytes())
    return text.hexdigest()[:16]


def compare(asked: argparse.Namespace, recipe: str, rule: str, work: Path) -> bool:
    """One rule on one net: a line, and whether both ends are equal."""
    begun = time.perf_counter()
    whole, killed = work / "whole", work / "killed"
    finished(crew(asked, recipe, rule, whole), f"{recipe} under {rule}")
    killed_in_the_middle(crew(asked, recipe, rule, killed), killed, asked.steps // 2)
    finished(crew(asked, recipe, rule, killed), f"{recipe} under {rule}, going on,")
    ends = digest(whole), digest(killed)
    same = "the same" if ends[0] == ends[1] else f"DIFFERENT from {ends[1]}"
    minutes = (time.perf_counter() - begun) / 60
    print(f"{recipe:18} {rule:3} {asked.steps} steps: {ends[0]}, killed: {same} ({minutes:.1f} min)", flush=True)
    return ends[0] == ends[1]


def parsed() -> argparse.Namespace:
    """The command line."""
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
    parser.add_argument("--workers", type=int, default=1, help="processes that share each run")
    parser.add_argument("--data-dir", default="", help="prepared pictures, instead of drawn ones")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Every rule on every net; 1 where one did not end as it should."""
    asked = parsed()
    if asked.child:
        run(argparse.Namespace(**json.loads(asked.child)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        asked.store = f"{name}/store"
        if not asked.data_dir:
            draw(Path(name) / "drawn")
            asked.data_dir = f"{name}/imagenet"
            prepare(PrepareOptions(Path(name) / "drawn", Path(asked.data_dir), partial=True), lambda _: None)
        same = []
        for recipe in asked.nets:
            for rule in asked.rules:
                with tempfile.TemporaryDirectory(dir=name) as work:
                    same.append(compare(asked, recipe, rule, Path(work)))
    print(f"{sum(same)} of {len(same)} ended where the run that was never killed did")
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
