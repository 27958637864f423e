"""A study resumes on a new head after the head of cluster.yaml and its disk are lost.

The start commands run as with `ray up`, on a simulated S3 (moto). A separate home folder represents the head.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml

from nowt.cli.main import main
from nowt.store.files import move_new
from nowt.store.sync.backup import StoreBackup
from nowt.store.sync.bucket import Bucket
from nowt.store.sync.manifest import read_manifest
from nowt.studies.lookup import find_study
from nowt.training.loop import train
from tests.support.mlflow_contents import epoch, start
from tests.support.moto_cloud import ROOT
from tests.support.short_runs import CPU
from tests.support.short_runs import numbers as measured
from tests.support.small_studies import logs, numbers, wait_for, write_study
from tests.support.tracking_server import wait_until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

CHECKPOINTS = "s3://lab/checkpoints"

COPY = "s3://lab/store"

HELD = '''
"""Kolen-Pollack that logs its steps and waits at step 10 until the file `go` exists."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nowt import KolenPollack

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Held(KolenPollack):
    name: ClassVar[str] = "held"

    def after_step(self, layer, step):
        if not layer.is_output:
            return
        with (FOLDER / "steps").open("a") as steps:
            steps.write(f"{step}\\n")
        while step == 10 and not (FOLDER / "go").exists():
            time.sleep(0.05)
'''

KEYS = {"0123456789ab", "ba9876543210"}


@dataclass(frozen=True)
class Head:
    """The home folder of a head and its background commands."""

    home: Path

    @property
    def store(self) -> Path:
        return self.home / "runs"

    def create(self) -> None:
        """Create the home in the state after node.sh and the file mounts of `ray up`."""
        (self.home / "nowt").mkdir(parents=True)
        (self.home / "nowt" / "platform").symlink_to(ROOT / "platform")
        (self.home / "nowt-bucket").write_text("s3://lab\n")
        (self.home / "bin").mkdir()
        nowt = self.home / "bin" / "nowt"
        nowt.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nowt "$@"\n')
        nowt.chmod(0o755)

    def up(self) -> str:
        """Run the start command of cluster.yaml that is not Ray's, and return its output. The MLflow server, which
        starts slowly, is killed at once."""
        given = yaml.safe_load((ROOT / "cluster.yaml").read_text())
        (command,) = (line for line in given["head_start_ray_commands"] if "ray st" not in line)
        completed = subprocess.run(
            ["bash", "-c", command], env=self.environment(), capture_output=True, text=True, timeout=300, check=False
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr
        for started in (f"nowt backup {COPY} --store {self.store} --every 240", f"nowt serve --store {self.store}"):
            wait_until(partial(self.runs, started), 60, started)
        self.end("serve", signal.SIGKILL)
        return completed.stdout

    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.home), "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}"}

    def runs(self, command: str) -> bool:
        """Whether this nowt command runs in the background."""
        return command in self.running(command.split()[1])

    def running(self, name: str) -> str:
        """The background command with this name; empty if it does not run."""
        path = self.home / "nowt-head" / f"{name}.pid"
        command = Path(f"/proc/{path.read_text().strip()}/cmdline") if path.exists() else path
        return command.read_bytes().replace(b"\0", b" ").decode() if command.exists() else ""

    def end(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the background command with this name; SIGTERM only once it has a handler."""
        pid = int((self.home / "nowt-head" / f"{name}.pid").read_text())
        if number == signal.SIGTERM:
            wait_until(lambda: handles(pid, number), 60, f"{name} to handle {number.name}")
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        wait_until(lambda: not self.running(name), 120, f"the end of {name}")


def handles(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal."""
    (caught,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


@pytest.fixture
def bucket(s3: str) -> Iterator[Bucket]:
    """An empty bucket; it is deleted afterwards."""
    found = Bucket.from_url(CHECKPOINTS)
    found.client.create_bucket(Bucket="lab")
    yield found
    for each in (found, Bucket.from_url(COPY)):
        each.remove(each.names(""))
    found.client.delete_bucket(Bucket="lab")
    found.client.close()


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    """A new head; its background commands are killed afterwards."""
    created = Head(tmp_path / "home")
    created.create()
    yield created
    for name in ("backup", "serve"):
        if created.running(name):
            created.end(name, signal.SIGKILL)


def test_a_study_resumes_on_a_new_head_after_head_and_disk_are_lost(head: Head, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(HELD)
    study = write_study(tmp_path, '{"held": small(Path(__file__).with_name("held.py"))}')
    # without audits, in which a step is done twice
    argv = ["ablate", str(study), "--store", str(head.store), "--in-process", "--checkpoints", CHECKPOINTS]
    argv += ["--audit", "0"]
    assert f"there is no backup of a store at {COPY} yet" in head.up()
    with subprocess.Popen([sys.executable, "-m", "nowt", *argv], stdout=subprocess.DEVNULL) as driver:
        try:
            wait_for(lambda: any("step-000000008.json" in name for name in bucket.names("")), 120, "a checkpoint")
            assert "already has runs and is left unchanged" in head.up()  # a second `ray up` is harmless
        finally:
            driver.kill()
    (run,) = logs(head.store).values()
    assert (run.state, run.last_epoch) == ("running", 2)
    head.end("backup", signal.SIGKILL)
    shutil.rmtree(head.home)

    head.create()
    assert f" files from {COPY}" in head.up()
    (tmp_path / "go").touch()
    assert main(argv) == 0
    (run,) = logs(head.store).values()
    assert (run.state, run.attempts, run.last_epoch) == ("finished", 2, 4)
    assert (tmp_path / "steps").read_text().split() == [str(step) for step in (*range(1, 11), *range(9, 17))]
    assert numbers(run) == measured(train(find_study(str(study)).cells[0].config, CPU))

    head.end("backup", signal.SIGTERM)  # like a shutdown of the machine
    log, copy = head.store / "logs" / f"{run.key}.jsonl", Bucket.from_url(COPY)
    found = read_manifest(copy)
    assert found and copy.get(f"objects/{found.files[f'logs/{run.key}.jsonl']}") == log.read_bytes()
    assert StoreBackup(head.store, copy).run()[1] == 0  # everything had been copied


def test_an_interrupted_restore_is_completed_by_the_next_call(
    head: Head, bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = tmp_path / "lost"
    for key in KEYS:
        start(lost, key).epoch(epoch(0))
    assert main(["backup", COPY, "--store", str(lost)]) == 0
    argv = ["restore", COPY, "--store", str(head.store), "--if-empty"]

    def full(source: Path, target: Path) -> bool:
        if source.stem == max(KEYS):
            raise OSError(errno.ENOSPC, "No space left on device")
        return move_new(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("nowt.store.sync.restore.move_new", full)
        assert main(argv) == 2
    assert [path.stem for path in (head.store / "logs").iterdir()] == [min(KEYS)]
    assert main(argv) == 0
    assert {path.stem for path in (head.store / "logs").iterdir()} == KEYS
    capsys.readouterr()
    assert main(argv) == 0
    assert "already has runs" in capsys.readouterr().out
