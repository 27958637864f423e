"""Downloads a run's checkpoints from a bucket before it starts, and uploads new ones while it trains.

The training loop does not know about the bucket: it reads and writes its folder, and a thread uploads what appears
there. Training waits only at the end of the run, until its last checkpoint is uploaded.
"""

import time
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import torch

from nowt.core.distributed import Group
from nowt.store.sync.checkpoint_bucket import DEFAULT_KEEP, CheckpointBucket, step_of
from nowt.training import checkpoint
from nowt.training.checkpoint import DamagedCheckpoint
from nowt.training.state_form import check_state

POLL_SECONDS = 1.0  # between checks of the folder

MAX_OFFERED = 8  # checkpoints that a worker offers to resume from

DOWNLOAD_SECONDS = 300.0  # for which a starting run waits for a bucket that is not accessible

RETRY_SECONDS = 5.0  # between its attempts


@dataclass
class CheckpointUploader:
    """Uploads the checkpoints of one run; ``remarks`` are lines for its user."""

    remote: CheckpointBucket
    folder: Path
    remarks: list[str]
    keep: int = DEFAULT_KEEP
    problem: str = ""  # why the bucket was not accessible at the last attempt
    stop: Event = field(default_factory=Event)

    def run(self) -> None:
        """Upload each new checkpoint until ``stop`` is set."""
        seen: list[str] = []
        while not self.stop.wait(POLL_SECONDS):
            if (names := _names(self.folder)) != seen:
                seen = names
                self._upload()

    def _upload(self) -> None:
        problem = self._send()
        if problem and not self.problem:
            self.remarks.append(f"{problem}; training continues, and the next checkpoint is a new attempt")
        if self.problem and not problem:
            self.remarks.append(f"{self.remote.bucket.url} is accessible again")
        self.problem = problem

    def finish(self) -> None:
        """Upload the checkpoints that the bucket does not have yet."""
        if problem := self._send():
            self.remarks.append(f"{problem}; the last checkpoint of this run may exist only in {self.folder}")

    def _send(self) -> str:
        """Upload the checkpoints that the bucket lacks. Return the reason if that failed, otherwise an empty string."""
        try:
            self.remote.send(self.folder, self.keep)
        except OSError as error:
            return str(error)
        except Exception as error:  # a bug: it must neither end the thread silently nor fail the run
            return f"uploading to {self.remote.bucket.url} failed:\n{traceback.format_exc()}{type(error).__name__}"
        return ""


@contextmanager
def sync_checkpoints(url: str, folder: Path, group: Group, remarks: list[str]) -> Iterator[CheckpointUploader | None]:
    """Download the newest available checkpoint into ``folder``, and upload new ones from there until the block ends.
    Only worker 0 of a group uploads and adds remarks. Without a ``url``, nothing happens.

    Raises OSError if the bucket stays unreadable for some minutes, ConfigError for a malformed URL.
    """
    if not url:
        yield None
        return
    remote, first = CheckpointBucket.from_url(url, folder.name), group.rank == 0
    _download(remote, folder, group, remarks if first else [])
    if not first:
        yield None
        return
    uploader = CheckpointUploader(remote, folder, remarks)
    thread = Thread(target=uploader.run, daemon=True)  # a killed process does not wait for it
    thread.start()
    try:
        yield uploader
    finally:
        uploader.stop.set()
        thread.join()
        uploader.finish()


def _download(remote: CheckpointBucket, folder: Path, group: Group, remarks: list[str]) -> None:
    """Download the newest checkpoint into ``folder`` unless the folder has a newer one. Several workers, whose folders
    may be on different disks, agree on the newest checkpoint that all of them have."""
    local_steps = _readable(folder, remarks)
    min_step = max(local_steps, default=0) if group.size == 1 else 0  # all workers can have the one in the bucket
    _fetch(remote, folder, local_steps, min_step, remarks)
    if group.size > 1:
        _agree(folder, group)


def _fetch(
    remote: CheckpointBucket, folder: Path, local_steps: Collection[int], min_step: int, remarks: list[str]
) -> None:
    """Download a checkpoint as ``CheckpointBucket.fetch`` does, but retry if the bucket is not accessible: a run must
    not fail because S3 is unavailable for a minute."""
    end, waiting = time.monotonic() + DOWNLOAD_SECONDS, False
    while True:
        try:
            remote.fetch(folder, local_steps, min_step, remarks.append)
            break
        except OSError as error:
            if error.errno is not None or time.monotonic() > end:  # errors of the disk have a number
                raise
            if not waiting:
                remarks.append(f"{error}; the run waits for it, at most {DOWNLOAD_SECONDS:g} s")
            waiting = True
            time.sleep(RETRY_SECONDS)
    if waiting:
        remarks.append(f"{remote.bucket.url} is accessible again")


def _readable(folder: Path, remarks: list[str]) -> list[int]:
    """Return the steps of the checkpoints in the folder. Damaged ones get another name: the bucket may have intact
    copies."""
    steps = []
    for path in checkpoint.saved(folder):
        try:
            checkpoint.read(path, check_state)
            steps.append(step_of(path.name))
        except FileNotFoundError:  # another worker has renamed it
            continue
        except DamagedCheckpoint as error:
            remarks.append(checkpoint.set_aside(path, error))
    return steps


def _agree(folder: Path, group: Group) -> None:
    """Remove checkpoints that are newer than the newest one that all workers have."""
    own = [-1, *[step_of(path.name) for path in sorted(folder.glob("step-*.pt"))][-MAX_OFFERED:]]
    offers = group.gather(torch.tensor(own + [-1] * (MAX_OFFERED + 1 - len(own))))
    common = max(set.intersection(*(set(offer.tolist()) for offer in offers)))
    for path in folder.glob("step-*.pt"):
        if step_of(path.name) > common:
            path.unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*-*.pt"))
