"""The Slurm script on a local Slurm: a job that reaches its time limit is requeued and then finishes."""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nowt.store.run_log import read
from tests.support.small_studies import SLOW, store_with_database, write_study

ROOT = Path(__file__).parents[2]

SCRIPT = ROOT / "platform" / "clusters" / "slurm" / "nowt.sbatch"

TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "unshare")

# a requeued job waits until its credential expires: two minutes by default, here five seconds
CONFIG = """
ClusterName=nowt
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ctld}
SlurmdPort={d}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/d.pid
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=1,sched_interval=1,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES State=UP
"""

PRIVATE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")  # runs a command in a new PID namespace

# in a new PID namespace, so that no daemon and no job survives the test
DAEMONS = """
cd munge; munged --force --key-file=$PWD/key --socket=$PWD/socket --pid-file=$PWD/pid --log-file=$PWD/log \\
    --seed-file=$PWD/seed; cd ..
slurmctld -f slurm.conf
exec slurmd -D -f slurm.conf
"""


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """A function that runs Slurm commands on a temporary Slurm cluster with one node."""
    skip_unless_slurm_can_run()
    folder = tmp_path_factory.mktemp("slurm")
    configure(folder)
    environment = slurm_environment(folder)

    def command(*argv: str) -> str:
        completed = subprocess.run(
            argv, env=environment, cwd=folder, capture_output=True, text=True, timeout=30, check=True
        )
        return completed.stdout.strip()

    private = [*PRIVATE, "sh", "-c", DAEMONS]
    output = (folder / "daemons").open("wb")
    with output, subprocess.Popen(private, cwd=folder, env=environment, stdout=output, stderr=output) as daemons:
        try:
            until(lambda: "idle" in command("sinfo", "--noheader"), 20)
            yield command
        finally:
            daemons.send_signal(signal.SIGKILL)  # unshare blocks other signals


def skip_unless_slurm_can_run() -> None:
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install slurmd slurmctld munge")
    if getpass.getuser() != "root":
        pytest.skip("Slurm's daemons need root")
    if subprocess.run([*PRIVATE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow new PID namespaces")


def configure(folder: Path) -> None:
    """Write the cluster's configuration, its munge key and its empty folders."""
    for name in ("state", "spool", "munge", "home"):
        (folder / name).mkdir(mode=0o700)
    (folder / "munge" / "key").write_bytes(secrets.token_bytes(1024))
    (folder / "munge" / "key").chmod(0o400)
    text = CONFIG.format(folder=folder, host=socket.gethostname().partition(".")[0], ctld=free_port(), d=free_port())
    (folder / "slurm.conf").write_text(text)


def slurm_environment(folder: Path) -> dict[str, str]:
    """The environment in which Slurm finds its configuration, and its jobs find nowt."""
    return {
        **os.environ,
        "SLURM_CONF": str(folder / "slurm.conf"),
        "HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)]),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until ``condition()`` is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except subprocess.CalledProcessError:
            pass  # Slurm has not started yet
        time.sleep(0.3)
    raise AssertionError(f"timed out after {seconds} s")


def test_the_job_is_requeued_at_the_time_limit_and_finishes_the_study_later(
    slurm: Callable[..., str], tmp_path: Path, empty: Path
) -> None:
    store_with_database(tmp_path / "runs", empty)
    (tmp_path / "slow.py").write_text(SLOW)
    study = write_study(tmp_path, '{"slow": small(Path(__file__).with_name("slow.py"))}')
    command = ["env", "PAUSE=0.25", "nowt", "ablate", str(study), "--store", str(tmp_path / "runs"), "--in-process"]
    size = ["--nodes=1", "--cpus-per-task=1", "--gpus-per-node=0", "--time=30", f"--output={tmp_path / 'log'}"]
    job = slurm("sbatch", "--parsable", *size, str(SCRIPT), *command)

    def state() -> str:
        return slurm("squeue", "--noheader", "--states=all", f"--job={job}", "--format=%T")

    def epochs() -> int:
        found = list((tmp_path / "runs" / "logs").glob("*.jsonl"))
        return read(found[0]).last_epoch if found else 0

    until(lambda: epochs() >= 1, 300)
    slurm("scancel", "--signal=USR1", "--batch", job)  # as Slurm does five minutes before the time limit
    until(lambda: state() == "PENDING", 120)
    before = epochs()
    assert before < 4 and list((tmp_path / "runs" / "checkpoints").rglob("*.pt"))
    until(lambda: state() == "COMPLETED", 300)
    (log,) = (tmp_path / "runs" / "logs").glob("*.jsonl")
    run = read(log)
    assert (run.state, run.attempts, [e.epoch for e in run.epochs]) == ("finished", 2, [0, 1, 2, 3, 4])
    output = (tmp_path / "log").read_text()
    assert "time limit reached: requeuing the job" in output and "1 of 1 run finished" in output
    assert not Path(f"/tmp/ray-{job}").exists()
