"""Measures how the memory of a process grows with the number of runs that it trains, as a reused Ray worker does.

    python benchmarks/process_memory.py                     14 short runs of ResNet-18 with 200 classes, five rules
    python benchmarks/process_memory.py --runs 3 --rules bp --size 64       a quick test of the script

Each run is one epoch, through the function that a Ray worker calls. The script prints after each run the resident
memory, its peak, the tensors that Python still holds, and malloc's arenas: what is in use, and what is free. Of the
free memory, a part may have been returned to the system.

Limit: the resident memory after a run does not grow with the number of runs, after the first two.
"""

import argparse
import ctypes
import gc
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image

from nowt.config.placement import Placement
from nowt.config.recipes import resnet18_imagenet, rule_for
from nowt.config.run_config import RunConfig
from nowt.config.run_key import run_key
from nowt.data.datasets import RunData
from nowt.execution.job import Job, run_job
from nowt.rules.weight_mirror import WeightMirror

MB = 1e6

LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class Memory:
    """The memory of this process, in MB."""

    resident: float
    peak: float
    tensors: int  # that Python's garbage collector knows
    held: float  # by them
    arenas: int
    used: float  # of malloc's arenas and mappings
    free: float  # of malloc's arenas, but not returned to the system

    @classmethod
    def now(cls) -> "Memory":
        """Return the memory of this process."""
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        resident, peak = (int(status[name].split()[0]) * 1024 / MB for name in ("VmRSS", "VmHWM"))
        (tensors, held), (arenas, used, free) = _tensors(), _malloc()
        return cls(resident, peak, tensors, held, arenas, used, free)

    def __str__(self) -> str:
        text = f"resident {self.resident:6.0f} MB, peak {self.peak:6.0f}, {self.tensors:5} tensors of {self.held:5.0f}"
        return f"{text}, malloc: {self.arenas:2} arenas, {self.used:5.0f} used, {self.free:5.0f} free"


def _tensors() -> tuple[int, float]:
    """Return number and size of the tensors that exist, without collecting garbage."""
    found = [one for one in gc.get_objects() if type(one) in (torch.Tensor, torch.nn.Parameter)]
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in found}
    return len(found), sum(storages.values()) / MB


def _malloc() -> tuple[int, float, float]:
    """Return the number of glibc's arenas, what is in use, and what is free in them, as ``malloc_info`` says."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "malloc.xml"
        LIBC.fopen.restype = ctypes.c_void_p
        stream = ctypes.c_void_p(LIBC.fopen(str(path).encode(), b"w"))
        LIBC.malloc_info(0, stream)
        LIBC.fclose(stream)
        root = ElementTree.parse(path).getroot()
    free = sum(int(each.get("size", 0)) for each in root.findall("total") if each.get("type") in ("fast", "rest"))
    mapped = sum(int(each.get("size", 0)) for each in root.findall("total") if each.get("type") == "mmap")
    system = sum(int(each.get("size", 0)) for each in root.findall("system") if each.get("type") == "current")
    return len(root.findall("heap")), (system + mapped - free) / MB, free / MB


def draw(root: Path, classes: int) -> None:
    """Write a folder of random images: one for training and one for validation per class."""
    for number in range(classes):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).resize((160, 120), Image.Resampling.BICUBIC).save(file, "jpeg")
        for part in ("train", "val"):
            folder = root / part / f"class{number:04}"
            folder.mkdir(parents=True)
            (folder / "image.jpeg").write_bytes(file.getvalue())


def config_of(rule: str, seed: int, args: argparse.Namespace) -> RunConfig:
    """The recipe of ResNet-18 with smaller images and fewer mirror samples, one epoch."""
    config = resnet18_imagenet(rule_for("resnet18_imagenet", rule)).with_seed(seed)
    if isinstance(config.rule, WeightMirror):
        config = replace(config, rule=replace(config.rule, samples=4, warmup=2, interval=2))
    data = replace(config.data, name="folder", size=args.size)
    optim = replace(config.optim, milestones=(), warmup=0.0, schedule="constant")
    probe, model = replace(config.probe, samples=8), replace(config.model, norm_group=8)
    return replace(config, data=data, optim=optim, probe=probe, model=model, epochs=1, batch=args.batch, test=False)


def jobs(args: argparse.Namespace, placement: Placement) -> Iterator[Job]:
    """Yield the jobs, with one rule after the other."""
    for number in range(args.runs):
        config = config_of(args.rules[number % len(args.rules)], number, args)
        yield Job(run_key(config, RunData.of(config).open(placement).fingerprint), config, placement)


def train_all(args: argparse.Namespace) -> None:
    """Train several runs in this process."""
    with TemporaryDirectory(prefix="nowt-") as folder:
        draw(Path(folder) / "images", args.classes)
        placement = Placement(f"{folder}/store", data=f"{folder}/images", device="cpu")
        print(f"before           {Memory.now()}", flush=True)
        for number, job in enumerate(jobs(args, placement), 1):
            started = time.perf_counter()
            last = list(run_job(job))[-1]
            assert last["state"] == "finished", last["reason"]
            seconds = time.perf_counter() - started
            print(f"{number:3} {job.config.rule.name:4} {seconds:5.1f} s {Memory.now()}", flush=True)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=14)
    parser.add_argument("--rules", nargs="+", default=["bp", "fa", "ss", "wm", "kp"])
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--size", type=int, default=96, help="of the images, in pixels")
    parser.add_argument("--batch", type=int, default=40)
    return parser.parse_args()


if __name__ == "__main__":
    train_all(parse())
