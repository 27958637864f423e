"""Runs that worker processes share over gloo on the loopback interface, without Ray, so that they start quickly."""

import math
import multiprocessing
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from benchmarks.counting_workers import CountingGroup
from nowt.config.run_config import DataConfig, ModelConfig, OptimConfig, ProbeConfig, RunConfig
from nowt.core.distributed import ProcessGroup, WorkersDiverged
from nowt.data.datasets import open_data
from nowt.rules.registry import find_rule
from nowt.store.records import Epoch
from nowt.training.loop import TrainingDiverged, TrainingInterrupted, train
from nowt.training.state import TrainingState
from tests.support.short_runs import CPU, after, fields_of

T = TypeVar("T")

RULES = ["bp", "fa", "ss", "wm", "kp"]

NET = f"{Path(__file__).parent}/worker_net.py:net"

PATIENCE = 120  # seconds

# what a run, or a test's inspection of it, may raise
RAISED = (
    ArithmeticError,
    AssertionError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    WorkersDiverged,
    TrainingDiverged,
)

_processes = multiprocessing.get_context("forkserver")

_processes.set_forkserver_preload([__name__, "sklearn.datasets", "torch._dynamo"])  # which a run imports late


def shared_run(rule: str, *, epochs: int = 2, steps: int = 4, precision: Any = "float64", **fields: Any) -> RunConfig:
    """A small convolutional network on digits. 1, 2 and 4 workers can share its batches of 16 in groups of 4."""
    return RunConfig(
        model=ModelConfig(NET, norm_group=4),
        data=DataConfig("digits", train_limit=16 * steps, score_limit=41),
        rule=find_rule(rule)(**{**fields_of(rule), **fields}),
        optim=OptimConfig(lr=0.05, warmup=0.5),
        probe=ProbeConfig(interval=2),
        epochs=epochs,
        batch=16,
        precision=precision,
        test="last",
    )


def on_workers(size: int, work: Callable[..., T], *arguments: Any) -> list[T]:
    """Return the result of ``work(*arguments)`` in each of ``size`` worker processes, by rank. Raises what the first
    one to fail raised."""
    with TemporaryDirectory() as folder:
        ends = [_processes.Pipe(duplex=False) for _ in range(size)]
        workers = [
            _processes.Process(target=_work, args=(ends[rank][1], rank, size, f"{folder}/meet", work, arguments))
            for rank in range(size)
        ]
        for worker in workers:
            worker.start()
        try:
            answers = [_answer(end) for end, _ in ends]
        finally:
            for worker in workers:
                worker.join(PATIENCE)
                worker.kill()
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


def _answer(end: Connection) -> Any:
    return end.recv() if end.poll(PATIENCE) else TimeoutError(f"a worker did not answer for {PATIENCE} s")


def _work(end: Connection, rank: int, size: int, meet: str, work: Callable[..., T], arguments: tuple[Any, ...]) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{meet}", rank=rank, world_size=size, timeout=timedelta(seconds=PATIENCE)
    )
    try:
        end.send(work(*arguments))
    except RAISED as error:
        end.send(error)
    finally:
        dist.destroy_process_group()


def trained(config: RunConfig) -> list[Epoch]:
    """All epochs of the run."""
    return list(train(config, CPU, group=ProcessGroup()))


def kept(config: RunConfig, folder: Path, stop_at: int | None = None) -> list[Epoch] | None:
    """All epochs of the run, which resumes from the folder; None if worker 1 stopped it after ``stop_at`` steps."""
    group = ProcessGroup()
    stop = after(stop_at) if stop_at is not None and group.rank == 1 else lambda: False
    with suppress(TrainingInterrupted):
        return list(train(config, CPU, checkpoints=folder, should_stop=stop, group=group))
    return None


@dataclass(frozen=True)
class Moved:
    """Bytes sent by all-reduce in the training steps of one epoch, on one worker."""

    gradients: int
    others: int
    feedback: int  # size of all B
    angles: list[float] = field(default_factory=list)  # degrees between B and W after it, by layer


def moved(config: RunConfig) -> Moved:
    """Return what the steps of one epoch send, without mirror steps before learning."""
    group = CountingGroup()
    training = TrainingState.create(config, CPU, open_data(config.data, CPU, bool(config.test)), group)
    training.before_learning()
    before = group.others
    for x, y in training.remaining_batches():
        training.train_step(x, y)
        group.any(False, False)
    size = sum(layer.feedback.nbytes for layer in training.layers)
    others = group.others - before
    return Moved(group.gradients, others, size, [layer.matrix_angle for layer in training.close_epoch().layers])


def farthest(first: list[Epoch], second: list[Epoch]) -> float:
    """The largest difference between the losses of two runs."""
    pairs = zip(first, second, strict=True)
    found = [abs(getattr(a, name) - getattr(b, name)) for a, b in pairs for name in ("train_loss", "val_loss")]
    return max(difference for difference in found if not math.isnan(difference))
