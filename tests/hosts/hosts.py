"""Simulated hosts. Each has its own network, processes, host name, account, temporary files and shared memory."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hosts.bridge import Network
from tests.hosts.namespaces import INIT, Namespaces, processes_in

ROOT = Path(__file__).parents[2]

NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")

KINDS = ("mount", "uts", "ipc", "net", "pid")

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class CommandResult:
    """The exit code of a command on a host, and its output (standard output and error)."""

    exit_code: int
    output: str


class Host(Namespaces):
    """One host, connected to the bridge with ``address`` (with prefix length). Its files are in ``folder``."""

    def __init__(self, network: Network, name: str, address: str, folder: Path, shared: Path) -> None:
        self.name, self.address, self.folder = name, address.partition("/")[0], folder
        for part in ("root", "tmp", "etc", "output"):
            (folder / part).mkdir(parents=True)
        (folder / "tmp").chmod(0o1777)
        (folder / "root").chmod(0o700)
        (folder / "etc" / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {name}\n")
        (folder / "etc" / "shadow").write_text("root:*:20000:0:99999:7:::\nsshd:!:20000::::::\n")
        script = str(Path(__file__).with_name("setup_host.sh"))
        setup = ["sh", script, name, str(folder), str(shared), " ".join(INIT)]
        super().__init__([*network.enter("net", "mount", "pid"), "unshare", *NAMESPACES, *setup, *read_only_paths()])
        network.connect(name, self, address)

    def run(self, command: str, seconds: float = 60, **environment: str) -> CommandResult:
        """Run a command in a non-login shell of this host; it is killed after ``seconds``."""
        command_line = ["timeout", "--kill-after=5", str(seconds), "bash", "-c", command]
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        completed = subprocess.run(self._command(command_line, environment), **options, check=False)
        return CommandResult(completed.returncode, completed.stdout)

    def check_output(self, command: str, seconds: float = 60, **environment: str) -> str:
        """Return the output of a command, which must succeed."""
        result = self.run(command, seconds, **environment)
        assert result.exit_code == 0, f"{self.name}: {command}: exit code {result.exit_code}\n{result.output}"
        return result.output

    def start(self, command: str, name: str, **environment: str) -> "BackgroundCommand":
        """Start a command in the background; its output goes to the file output/``name`` in the host's folder."""
        log = self.folder / "output" / name
        with open(log, "wb") as file:
            command_line = self._command(["bash", "-c", f"exec {command}"], environment)
            options = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file, "start_new_session": True}
            return BackgroundCommand(subprocess.Popen(command_line, **options), log)

    def processes(self) -> dict[int, str]:
        """The processes of this host except process 1 and sshd's listener: commands by process ID outside the host."""
        found = processes_in(self.pid)
        return {n: text for n, text in found.items() if n != self.pid and text and "[listener]" not in text}

    def kill(self, suffix: str) -> None:
        """Send SIGKILL to the processes whose executable ends in ``suffix``."""
        pids = [n for n, command in self.processes().items() if command.split(" ")[0].endswith(suffix)]
        assert pids, f"{self.name} has no process {suffix}: {self.processes()}"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def _command(self, command: list[str], environment: Mapping[str, str]) -> list[str]:
        defaults = {"HOME": "/root", "PATH": DEFAULT_PATH, "LANG": "C.UTF-8", "TERM": "dumb", "USER": "root"}
        assignments = [f"{name}={value}" for name, value in {**defaults, **environment}.items()]
        return [*self.enter(*KINDS), "env", "-i", "--default-signal", "-C", "/root", *assignments, *command]


@dataclass(frozen=True)
class BackgroundCommand:
    """A command that runs in the background, and the file with its output."""

    process: subprocess.Popen[bytes]
    log: Path

    def end(self) -> None:
        """End the command's process group the way closing its terminal does: SIGHUP, then SIGKILL."""
        for number in (signal.SIGHUP, signal.SIGKILL):
            end = time.monotonic() + 15
            while self._send(number) and time.monotonic() < end:
                time.sleep(0.1)
        self.process.wait(timeout=15)

    def _send(self, number: signal.Signals) -> bool:
        """Send a signal to the process group; return whether any process is left."""
        self.process.poll()  # reaps the process if it has ended
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return False
        return True


def read_only_paths() -> list[str]:
    """The paths that every host has read-only: the project, its environment, the environment's Python."""
    return list(dict.fromkeys(str(path) for path in (ROOT, sys.prefix, sys.base_prefix)))
