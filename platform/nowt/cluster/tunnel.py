"""``nowt ui --cluster``: an ssh tunnel from this machine to MLflow on a cluster's head, which answers there alone."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Event
from time import monotonic
from typing import IO
from urllib.request import urlopen

from nowt.cluster.cluster_file import ClusterFile, mapping
from nowt.cluster.key_pair import private_half
from nowt.core.errors import ConfigError, require
from nowt.core.subprocesses import end_with_parent, terminate_at_exit

HOST = "127.0.0.1"

CONNECT_SECONDS = 15  # that ssh waits for a head that does not answer

START_SECONDS = 60.0  # from ssh's start to an open tunnel


@dataclass(frozen=True)
class Head:
    """How a cluster's head is entered."""

    address: str
    user: str
    key: Path


def browse(cluster: ClusterFile, ports: tuple[int, int], store: str, say: Callable[[str], None]) -> int:
    """Lead the first of ``ports``, on this machine alone, to the second on the head, until Ctrl-C; the exit code.
    ``store`` is where the head's records lie.

    Raises ConfigError for a port that is taken or a file that lacks what is needed; OSError where ssh, the head or
    MLflow on it cannot be reached, and where the tunnel ends by itself.
    """
    port, there = ports
    _check(port)
    head = head_of(cluster)
    url = f"http://{HOST}:{port}"
    try:
        with _tunnel(head, port, there) as (ssh, errors):
            _wait(ssh, errors, head, port)
            if not _answers(url):
                raise OSError(
                    f"{head.address} has no MLflow at its port {there} (one that starts takes up to a minute): on it, "
                    "nowt serve, which cluster.yaml's start commands start (nowt-keeper/serve.log says more)"
                )
            say(f"MLflow is at {url} as long as this runs; Ctrl-C ends it")
            say(f"user and password: ray exec {cluster.path} 'cat {store}/keeper/credentials'")
            ssh.wait()
            raise OSError(f"the tunnel to {head.address} ended: {_last_words(errors)}; the same command opens it again")
    except KeyboardInterrupt:
        return 0


def head_of(cluster: ClusterFile) -> Head:
    """The head of a running cluster. Raises ConfigError for a file that does not say how to enter it, OSError where
    there is no head."""
    auth = mapping(cluster.given.get("auth"))
    named = auth.get("ssh_private_key")
    require(bool(auth.get("ssh_user")), f"{cluster.path} has no auth.ssh_user: name the account of the head")
    require(bool(named or cluster.key_pair), f"{cluster.path} has no auth.ssh_private_key: name the key of the head")
    key = Path(str(named)).expanduser() if named else private_half(cluster)
    require(key.is_file(), f"there is no key {key} here: copy it from where {cluster.path} was prepared")
    return Head(_address(cluster), str(auth["ssh_user"]), key)


def _address(cluster: ClusterFile) -> str:
    """The file's own, or the one that Ray finds in the account."""
    for name in ("external_head_ip", "head_ip"):
        if address := cluster.provider.get(name):
            return str(address)
    command = [sys.executable, "-m", "ray.scripts.scripts", "get-head-ip", str(cluster.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode or not done.stdout.strip():
        raise OSError(f"no head of {cluster.path} is found ({said[-1] if said else 'no reason given'}): ray up first")
    return done.stdout.split()[-1]


def _check(port: int) -> None:
    require(1 <= port <= 65535, f"--port is {port}: it must be from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise ConfigError(
                f"--port {port} is taken on {HOST}: end what listens there, or give another, --port {port + 1}"
            ) from None


def _command(head: Head, port: int, there: int) -> list[str]:
    """ssh without a shell, which asks nothing and ends where it cannot listen. RSYNC_RSH adds options, as it does for
    ``nowt pull``."""
    options = {
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        "StrictHostKeyChecking": "accept-new",  # a head that was never seen; not one whose key has changed
        "ConnectTimeout": str(CONNECT_SECONDS),
        "ServerAliveInterval": "30",
        "LogLevel": "ERROR",
    }
    given = shlex.split(os.environ.get("RSYNC_RSH", "ssh"))
    said = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    forward = f"{HOST}:{port}:{HOST}:{there}"
    return [*given, "-N", "-i", str(head.key), *said, "-L", forward, "-l", head.user, "--", head.address]


@contextmanager
def _tunnel(head: Head, port: int, there: int) -> Iterator[tuple["subprocess.Popen[bytes]", IO[str]]]:
    """ssh, which ends with the block, and what it complains of."""
    command = _command(head, port, there)
    if shutil.which(command[0]) is None:
        raise OSError(f"{command[0]} is not installed: nowt ui --cluster needs it (Debian: openssh-client)")
    with tempfile.TemporaryFile("w+") as errors:
        ssh = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is ours to pass on
            preexec_fn=end_with_parent,
        )
        with terminate_at_exit(ssh):
            yield ssh, errors


def _wait(ssh: "subprocess.Popen[bytes]", errors: IO[str], head: Head, port: int) -> None:
    """Until the tunnel is open. Raises OSError where that does not come."""
    deadline = monotonic() + START_SECONDS
    while not _listens(port):
        if ssh.poll() is not None:
            raise OSError(f"the head {head.address} was not reached: {_last_words(errors)}")
        if monotonic() > deadline:
            raise OSError(f"the head {head.address} was not reached within {START_SECONDS:g} s")
        Event().wait(0.1)


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=30) as reply:
            return bool(reply.status == 200)
    except (OSError, HTTPException):
        return False


def _last_words(errors: IO[str]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    return lines[-1] if lines else "ssh gave no reason"
