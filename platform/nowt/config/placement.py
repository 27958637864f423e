"""Where a run is computed and where its files lie; nothing here changes its key."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nowt.core.errors import require

Keep = Literal["last", "all"] | Sequence[int]  # checkpoints: of the last epoch, of all, of these and the last


@dataclass(frozen=True)
class Placement:
    """Where a run is computed and where its files lie; nothing here changes the run's key."""

    store: str = "runs"
    data: str = ""  # folder of the pictures (folder, imagenet, cifar10, mnist, fashion_mnist)
    device: str = "auto"  # auto, cpu, cuda, cuda:1, ...
    threads: int = 1  # of torch, in each run
    slots: int | None = None  # runs at a time; None: all cores / threads
    loaders: int = 2  # processes that decode pictures, for data that is not kept in memory
    checkpoint_seconds: float = 600.0  # a checkpoint in mid-epoch at least this often, besides one each epoch
    keep: Keep | None = None  # checkpoints that stay when a run is over; None: as its study says
    checkpoints: str = ""  # s3://BUCKET/PREFIX to which each is copied, too, and from which a run goes on elsewhere
    # that share one run: each trains on its part of every batch (Ray Train); two numbers: as many as there is room for
    workers: int | tuple[int, int] = 1
    gpus_per_worker: float | None = None  # None: one; for runs of one worker, all GPUs over the slots

    def __post_init__(self) -> None:
        given = workers_to_text(self.workers)
        require(self.min_workers >= 1, f"--workers is {given}: it must be at least 1")
        require(
            self.min_workers <= self.max_workers,
            f"--workers is {given}: the smaller number comes first, as in {self.max_workers}:{self.min_workers}",
        )
        require(
            not self.shared or self.device in ("auto", "cpu", "cuda"),
            f"--device is {self.device!r}: with --workers {given} it must be auto, cpu or cuda, and each worker takes "
            "a GPU of its own",
        )
        gpus = self.gpus_per_worker
        if gpus is None:
            return
        require(
            0 < gpus < 1 or (gpus >= 1 and gpus % 1 == 0),
            f"--gpus-per-worker is {gpus:g}: it must be a whole number, or a share of one GPU, above 0",
        )
        require(self.device != "cpu", f"--gpus-per-worker is {gpus:g}, and --device cpu: leave one of them out")

    @property
    def min_workers(self) -> int:
        """How many share a run at least."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]

    @property
    def max_workers(self) -> int:
        """How many share a run at most."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]

    @property
    def shared(self) -> bool:
        """Whether Ray Train's workers do the runs."""
        return self.workers != 1

    @property
    def concurrent_runs(self) -> int:
        """How many runs go on at once."""
        return self.slots or max(1, (os.cpu_count() or 1) // (self.threads * self.max_workers))


def workers_to_text(workers: int | tuple[int, int]) -> str:
    """The numbers as they are typed."""
    return str(workers) if isinstance(workers, int) else f"{workers[0]}:{workers[1]}"
