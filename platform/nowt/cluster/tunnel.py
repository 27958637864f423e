"""``nowt ui --cluster``: an ssh tunnel to MLflow on a cluster's head, where it listens on localhost only."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Event
from time import monotonic
from typing import IO
from urllib.request import urlopen

from nowt.cluster.cluster_file import ClusterFile, mapping
from nowt.cluster.key_pair import private_key_path
from nowt.core.errors import AccessError, ConfigError, Echo, require
from nowt.core.subprocesses import end_with_parent, terminate_at_exit

HOST = "127.0.0.1"

CONNECT_SECONDS = 15  # ssh's timeout for a head that does not answer

START_SECONDS = 60.0  # from ssh's start to an open tunnel


@dataclass(frozen=True)
class SshTarget:
    """How to log in to a cluster's head."""

    address: str
    user: str
    key: Path


def open_tunnel(cluster: ClusterFile, ports: tuple[int, int], store: str, echo: Echo) -> int:
    """Forward the first of ``ports`` on localhost to the second on the head until Ctrl-C; return the exit code.

    ``store`` is the path of the store on the head.
    Raises ConfigError for a port in use or an incomplete cluster file; OSError if ssh, the head or its MLflow cannot be
    reached, or if the tunnel closes by itself.
    """
    port, head_port = ports
    _check_port(port)
    head = ssh_target(cluster)
    url = f"http://{HOST}:{port}"
    try:
        with _tunnel(head, port, head_port) as (ssh, errors):
            _wait(ssh, errors, head, port)
            if not _is_healthy(url):
                raise AccessError(
                    f"MLflow does not answer at port {head_port} of {head.address} (starting may take a minute). The "
                    "start commands of cluster.yaml run nowt serve on the head; see nowt-head/serve.log there"
                )
            echo(f"MLflow is available at {url} while this command runs. Press Ctrl-C to stop.")
            echo(f"user and password: ray exec {cluster.path} 'cat {store}/keeper/credentials'")
            ssh.wait()
            raise AccessError(
                f"the tunnel to {head.address} ended: {_last_line(errors)}; run the same command to open it again"
            )
    except KeyboardInterrupt:
        return 0


def ssh_target(cluster: ClusterFile) -> SshTarget:
    """Return how to log in to the head. Raises ConfigError if the file lacks login data, OSError without a head."""
    auth = mapping(cluster.config.get("auth"))
    key_file = auth.get("ssh_private_key")
    require(bool(auth.get("ssh_user")), f"{cluster.path} has no auth.ssh_user: set it to the login account of the head")
    require(
        bool(key_file or cluster.key_pair),
        f"{cluster.path} has no auth.ssh_private_key: set it to the private key for the head",
    )
    key = Path(str(key_file)).expanduser() if key_file else private_key_path(cluster)
    require(key.is_file(), f"key {key} does not exist: copy it from the machine on which {cluster.path} was prepared")
    return SshTarget(_address(cluster), str(auth["ssh_user"]), key)


def _address(cluster: ClusterFile) -> str:
    """Return the address in the file, or the one that Ray finds in the account."""
    for name in ("external_head_ip", "head_ip"):
        if address := cluster.provider.get(name):
            return str(address)
    command = [sys.executable, "-m", "ray.scripts.scripts", "get-head-ip", str(cluster.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    output = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode or not done.stdout.strip():
        raise AccessError(
            f"no running head for {cluster.path} ({output[-1] if output else 'no reason given'}): run ray up first"
        )
    return done.stdout.split()[-1]


def _check_port(port: int) -> None:
    require(1 <= port <= 65535, f"--port is {port}: it must be from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise ConfigError(
                f"--port {port} is in use on {HOST}: stop the program that uses it, or use --port {port + 1}"
            ) from None


def _command(head: SshTarget, port: int, head_port: int) -> list[str]:
    """Return the ssh command: no shell, no prompts, exit if the port cannot be forwarded.

    RSYNC_RSH adds options, as for ``nowt pull``.
    """
    options = {
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        "StrictHostKeyChecking": "accept-new",  # accepts a new head, but not a changed host key
        "ConnectTimeout": str(CONNECT_SECONDS),
        "ServerAliveInterval": "30",
        "LogLevel": "ERROR",
    }
    ssh = shlex.split(os.environ.get("RSYNC_RSH", "ssh"))
    flags = [token for name, value in options.items() for token in ("-o", f"{name}={value}")]
    forward = f"{HOST}:{port}:{HOST}:{head_port}"
    return [*ssh, "-N", "-i", str(head.key), *flags, "-L", forward, "-l", head.user, "--", head.address]


@contextmanager
def _tunnel(head: SshTarget, port: int, head_port: int) -> Iterator[tuple["subprocess.Popen[bytes]", IO[str]]]:
    """Yield the ssh process, which ends with the block, and its error output."""
    command = _command(head, port, head_port)
    if shutil.which(command[0]) is None:
        raise AccessError(f"{command[0]} is not installed: nowt ui --cluster needs it (Debian: openssh-client)")
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        ssh = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,  # Ctrl-C must not reach ssh directly
            preexec_fn=end_with_parent,
        )
        with terminate_at_exit(ssh):
            yield ssh, errors


def _wait(ssh: "subprocess.Popen[bytes]", errors: IO[str], head: SshTarget, port: int) -> None:
    """Wait until the tunnel is open. Raises OSError if it does not open."""
    deadline = monotonic() + START_SECONDS
    while not _is_open(port):
        if ssh.poll() is not None:
            raise AccessError(f"cannot reach the head {head.address}: {_last_line(errors)}")
        if monotonic() > deadline:
            raise AccessError(f"cannot reach the head {head.address} within {START_SECONDS:g} s")
        Event().wait(0.1)


def _is_open(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _is_healthy(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=30) as reply:
            return bool(reply.status == 200)
    except (OSError, HTTPException):
        return False


def _last_line(errors: IO[str]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    return lines[-1] if lines else "ssh gave no reason"
