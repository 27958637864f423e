"""Carries a run's checkpoints from a bucket before it starts, and to it while it trains.

The loop knows nothing of it: it reads and writes its folder, and a thread beside it sends what comes there. Training is
not held up but at the end of the run, until its last checkpoint is sent.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import torch

from nowt.core.distributed import Group
from nowt.store.sync.checkpoint_bucket import DEFAULT_KEEP, CheckpointBucket, step_of
from nowt.training import checkpoint

LOOK_SECONDS = 1.0  # between looks at the folder

MOST = 8  # checkpoints that a worker offers to go on from

BRING_SECONDS = 300.0  # that a run which starts waits for a bucket that cannot be used

BRING_PAUSE = 5.0  # seconds between its tries


@dataclass
class CheckpointUploader:
    """On its way between one run's folder and the bucket; ``said`` is what its user should hear."""

    copies: CheckpointBucket
    folder: Path
    said: list[str]
    keep: int = DEFAULT_KEEP
    trouble: str = ""  # why the bucket could not be used at the last try
    end: Event = field(default_factory=Event)

    def carry(self) -> None:
        """Until ``end``, send whenever another checkpoint has come."""
        seen: list[str] = []
        while not self.end.wait(LOOK_SECONDS):
            if (names := _names(self.folder)) != seen:
                seen = names
                self._look()

    def _look(self) -> None:
        trouble = self._send()
        if trouble and not self.trouble:
            self.said.append(f"{trouble}; training goes on, and it is tried again at the next checkpoint")
        if self.trouble and not trouble:
            self.said.append(f"{self.copies.bucket.url} is reached again")
        self.trouble = trouble

    def finish(self) -> None:
        """Send what is not there yet."""
        if trouble := self._send():
            self.said.append(f"{trouble}; the run's last checkpoint may lie in {self.folder} alone")

    def _send(self) -> str:
        """Send what the bucket lacks; why that was not possible, or nothing."""
        try:
            self.copies.send(self.folder, self.keep)
        except OSError as error:
            return str(error)
        return ""


@contextmanager
def carried(url: str, folder: Path, group: Group, said: list[str]) -> Iterator[CheckpointUploader | None]:
    """The folder of a run's checkpoints with the newest one that is to be had, and a courier that sends what comes
    there while the block lasts; without ``url``, nothing of it. Worker 0 of a group sends and speaks for all.

    Raises OSError where the bucket cannot be read, also after some minutes; ConfigError for a URL that is none.
    """
    if not url:
        yield None
        return
    copies, first = CheckpointBucket.of(url, folder.name), group.rank == 0
    _bring(copies, folder, group, said if first else [])
    if not first:
        yield None
        return
    courier = CheckpointUploader(copies, folder, said)
    thread = Thread(target=courier.carry, daemon=True)  # a killed process does not wait for it
    thread.start()
    try:
        yield courier
    finally:
        courier.end.set()
        thread.join()
        courier.finish()


def _bring(copies: CheckpointBucket, folder: Path, group: Group, said: list[str]) -> None:
    """Make the newest checkpoint in ``folder`` the newest that there is; for several workers, whose folders may be on
    different disks, the newest that all of them have."""
    have = _readable(folder, said)
    least = max(have, default=0) if group.size == 1 else 0  # the bucket's is the one that all can have
    _fetch(copies, folder, have, least, said)
    if group.size > 1:
        _agree(folder, group)


def _fetch(copies: CheckpointBucket, folder: Path, have: Collection[int], least: int, said: list[str]) -> None:
    """As ``Copies.fetch``; a run waits for a bucket that cannot be used, and does not fail for a minute without S3."""
    end, waits = time.monotonic() + BRING_SECONDS, False
    while True:
        try:
            copies.fetch(folder, have, least, said.append)
            break
        except OSError as error:
            if error.errno is not None or time.monotonic() > end:  # with a number: the disk's
                raise
            if not waits:
                said.append(f"{error}; the run waits for it, {BRING_SECONDS:g} s at most")
            waits = True
            time.sleep(BRING_PAUSE)
    if waits:
        said.append(f"{copies.bucket.url} is reached again")


def _readable(folder: Path, said: list[str]) -> list[int]:
    """The steps of the folder's checkpoints, without those that cannot be read: the bucket may have these whole."""
    steps = []
    for path in sorted(folder.glob("step-*.pt")):
        try:
            checkpoint.read(path, torch.device("cpu"))
            steps.append(step_of(path.name))
        except checkpoint.READ_ERRORS as error:
            said.append(f"checkpoint {path} cannot be read ({checkpoint.describe_error(error)}): it is removed")
            path.unlink(missing_ok=True)
    return steps


def _agree(folder: Path, group: Group) -> None:
    """Remove what is newer than the newest that all workers have."""
    own = [-1, *[step_of(path.name) for path in sorted(folder.glob("step-*.pt"))][-MOST:]]
    offers = group.gather(torch.tensor(own + [-1] * (MOST + 1 - len(own))))
    common = max(set.intersection(*(set(offer.tolist()) for offer in offers)))
    for path in folder.glob("step-*.pt"):
        if step_of(path.name) > common:
            path.unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*-*.pt"))
