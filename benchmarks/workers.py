"""Measures what changes when several workers share a run: rounding drift, bytes sent, and the effect of more noise.

The workers are real processes that communicate with gloo on this machine. The script prints three tables in Markdown:

1. bytes passed to all-reduce per training step, by rule, for ResNet-18 and ResNet-50;
2. weight mirror's median angle before and after an epoch with 1, 2 and 4 streams of noise, and the mirror samples;
3. the largest difference of an epoch's training loss between 1 and 2, and 1 and 4 workers, by precision and rule, on
   ``digits`` with norm_group 8 (2 and 4 workers share its batch of 32).

    OMP_NUM_THREADS=1 python benchmarks/workers.py
    OMP_NUM_THREADS=1 python benchmarks/workers.py --tables streams        one table
"""

import argparse
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from counting_workers import CountingGroup

from nowt.config.placement import Placement
from nowt.config.recipes import digits
from nowt.config.run_config import DataConfig, ModelConfig, ProbeConfig, RunConfig
from nowt.core.distributed import ProcessGroup
from nowt.data.datasets import open_data
from nowt.rules.base import Rule, noise_streams
from nowt.rules.registry import find_rule
from nowt.rules.weight_mirror import WeightMirror
from nowt.store.records import Epoch, median_over_layers
from nowt.training.loop import train
from nowt.training.state import TrainingState

T = TypeVar("T")

CPU = Placement(device="cpu")

FIVE = ("bp", "fa", "ss", "wm", "kp")

EPOCHS = 6

processes = multiprocessing.get_context("forkserver")

processes.set_forkserver_preload(["torch._dynamo", "sklearn.datasets", "nowt.training.state"])


def on_workers(size: int, work: Callable[..., T], *arguments: Any) -> T:
    """Return what ``work`` returns in the first of ``size`` processes."""
    with TemporaryDirectory() as folder:
        receiver, sender = processes.Pipe(duplex=False)
        started = [
            processes.Process(target=worker, args=(sender, rank, size, f"{folder}/meet", work, arguments))
            for rank in range(size)
        ]
        for process in started:
            process.start()
        answer: T = receiver.recv()
        for process in started:
            process.join()
    return answer


def worker(
    sender: Connection, rank: int, size: int, meet: str, work: Callable[..., T], arguments: tuple[Any, ...]
) -> None:
    """Join the other processes, do the work, and send the result of the first."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=size)
    answer = work(*arguments)
    if rank == 0:
        sender.send(answer)
    dist.destroy_process_group()


def trained(config: RunConfig) -> list[Epoch]:
    """The run's epochs."""
    return list(train(config, CPU, group=ProcessGroup()))


def counted(config: RunConfig, steps: int) -> tuple[float, float]:
    """Bytes per step that DDP and everything else pass to all-reduce, flags included."""
    group = CountingGroup()
    training = TrainingState.create(config, CPU, open_data(config.data, CPU, bool(config.test)), group)
    for _, (x, y) in zip(range(steps), training.remaining_batches(), strict=False):
        training.train_step(x, y)
        group.any(False, False)
    return group.gradients / steps, group.others / steps


def drift() -> None:
    """Print the differences of losses."""
    print(
        f"| precision | rule | workers | {' | '.join(f'epoch {n}' for n in range(1, EPOCHS + 1))} | val error alone |"
    )
    print(f"|---|---|---:|{'---:|' * EPOCHS}---:|")
    for precision in ("float64", "float32"):
        for rule in FIVE:
            base = digits(find_rule(rule)())
            model = replace(base.model, norm_group=8)
            config = replace(base, model=model, precision=precision, epochs=EPOCHS, test=False)
            alone = list(train(config, CPU))
            for size in (2, 4):
                pairs = zip(alone[1:], on_workers(size, trained, config)[1:], strict=True)
                found = " | ".join(f"{abs(a.train_loss - b.train_loss):.0e}" for a, b in pairs)
                print(f"| {precision} | {rule} | {size} | {found} | {alone[-1].val_error:.3f} |", flush=True)


def sent() -> None:
    """Print the bytes sent, for images of 32 pixels, since they depend only on the network."""
    print("\n| network | rule | gradients, MB per step | other, bytes per step |\n|---|---|---:|---:|")
    for model in ("resnet18", "resnet50"):
        for rule in (*(find_rule(name)() for name in FIVE), WeightMirror(streams=2, interval=2)):
            data = DataConfig("synthetic", size=32, train_limit=16)
            config = RunConfig(ModelConfig(model, norm_group=2), data, without_warmup(rule), epochs=1, batch=4)
            gradients, others = on_workers(2, counted, replace(config, probe=ProbeConfig(samples=4)), 4)
            name = f"{rule.name}, 2 streams every 2 steps" if noise_streams(rule) > 1 else rule.name
            print(f"| {model} | {name} | {gradients / 1e6:.2f} | {others:,.0f} |", flush=True)


def without_warmup(rule: Rule) -> Rule:
    """The rule without mirror steps before learning, which are not part of a training step."""
    return replace(rule, warmup=0) if isinstance(rule, WeightMirror) else rule


def streams() -> None:
    """Print the angles by streams of noise."""
    print("\n| streams | workers | median angle before, ° | after | mirror samples |\n|---:|---:|---:|---:|---:|")
    for count in (1, 2, 4):
        base = digits(WeightMirror(streams=count))
        config = replace(base, model=replace(base.model, norm_group=8), epochs=1, test=False)
        for size in sorted({1, count}):
            epochs = on_workers(size, trained, config)
            before, after = (median_over_layers("matrix_angle", e.layers) for e in epochs)
            print(
                f"| {count} | {size} | {before:.2f} | {after:.2f} | {epochs[-1].mirror_presentations:,} |", flush=True
            )


TABLES: dict[str, Callable[[], None]] = {"sent": sent, "streams": streams, "drift": drift}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), help="default: all")
    for name in parser.parse_args().tables:
        TABLES[name]()


if __name__ == "__main__":
    main()
