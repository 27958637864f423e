"""Placement: where a run is computed and where its files are. Nothing here changes the run key."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nowt.core.errors import require
from nowt.core.fields import make_plain

Keep = Literal["last", "all"] | Sequence[int]  # checkpoints of the last epoch, of all, or of these and the last


@dataclass(frozen=True)
class Placement:
    """Where a run is computed and where its files are. Nothing here changes the run key.

    Args:
        store: Folder of logs, checkpoints and databases. Default ``runs``.
        data: Folder of the data set; for ``mnist``, ``fashion_mnist``, ``cifar10``, ``folder`` and ``imagenet``.
        device: ``auto`` (default: the GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ...
        threads: PyTorch threads per run. Default 1.
        slots: Number of runs at the same time. Default None: one per GPU; without GPUs, the cores that this process may
            use, or those of the cluster at RAY_ADDRESS, divided by ``threads`` and workers.
        loaders: Processes that decode images, for data that is not kept in memory; and threads that read and prepare
            images at the start. Default 2.
        checkpoint_seconds: Longest time between checkpoints within an epoch, in seconds; every epoch also ends with
            one. Default 600.
        keep: Checkpoints to keep when a run is finished: ``"last"``, ``"all"``, or a sequence of epochs, to which the
            last is added. Default None: as the study says.
        checkpoints: ``s3://BUCKET/PREFIX`` to which every checkpoint is copied, and from which a run resumes on another
            machine. Default: none.
        workers: Number of workers that train one run together on Ray Train, each on its share of every batch; or
            (minimum, maximum) for an elastic range. Default 1.
        audit: Number of training steps, drawn at random, in which nowt looks for reads of W. Default None: 3 under a
            custom rule, 0 under a built-in one. A run that resumes keeps the steps that it drew.
        gpus_per_worker: GPUs per worker: a whole number, or a fraction to share one. Default None: one; less for runs
            of one worker with more ``slots`` than GPUs.

    Raises:
        ConfigError: If a value is out of range, or ``device`` does not fit ``workers`` or ``gpus_per_worker``.

    Example:
        >>> from nowt import Placement
        >>> Placement(device="cpu", workers=(2, 4)).max_workers
        4
    """

    store: str = "runs"
    data: str = ""
    device: str = "auto"
    threads: int = 1
    slots: int | None = None
    loaders: int = 2
    checkpoint_seconds: float = 600.0
    keep: Keep | None = None
    checkpoints: str = ""
    workers: int | tuple[int, int] = 1
    gpus_per_worker: float | None = None
    audit: int | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("store", "data"):  # the shell does not expand ``~`` everywhere
            object.__setattr__(self, name, os.path.expanduser(getattr(self, name)))
        require(self.audit is None or self.audit >= 0, f"audit is {self.audit}: it must be at least 0")
        given = workers_to_text(self.workers)
        require(self.min_workers >= 1, f"workers is {given}: it must be at least 1")
        require(
            self.min_workers <= self.max_workers,
            f"workers is {given}: the smaller number comes first",
        )
        require(
            not self.is_distributed or self.device in ("auto", "cpu", "cuda"),
            f"device is {self.device!r}: with {given} workers it must be auto, cpu or cuda; each worker then "
            "uses its own GPU",
        )
        gpus = self.gpus_per_worker
        if gpus is None:
            return
        require(
            0 < gpus < 1 or (gpus >= 1 and gpus % 1 == 0),
            f"gpus_per_worker is {gpus:g}: it must be a whole number, or a share of one GPU, above 0",
        )
        require(self.device != "cpu", f"gpus_per_worker is {gpus:g}, and device is cpu: leave one of them out")

    @property
    def min_workers(self) -> int:
        """Smallest number of workers of one run."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]

    @property
    def max_workers(self) -> int:
        """Largest number of workers of one run."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]

    @property
    def is_distributed(self) -> bool:
        """Whether several Ray Train workers train each run."""
        return self.workers != 1


def workers_to_text(workers: int | tuple[int, int]) -> str:
    """Return the number of workers, or their range, as text for ``--workers``."""
    return str(workers) if isinstance(workers, int) else f"{workers[0]}:{workers[1]}"
