"""Hosts: each with a network, processes, a name, an account, temporary files and shared memory of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.bridge import World
from tests.hosts.namespaces import INIT, Space, processes_in

ROOT = Path(__file__).parents[2]

NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")

ALL = ("mount", "uts", "ipc", "net", "pid")

PLAIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Said:
    """How a command on a host ended, and what it said, errors too."""

    code: int
    text: str


class Host(Space):
    """One host, on the bridge with ``address`` (with the length of its network's part). Its files are below ``folder``:
    root, tmp, etc."""

    def __init__(self, world: World, name: str, address: str, folder: Path, shared: Path) -> None:
        self.name, self.address, self.folder = name, address.partition("/")[0], folder
        for part in ("root", "tmp", "etc", "said"):
            (folder / part).mkdir(parents=True)
        (folder / "tmp").chmod(0o1777)
        (folder / "root").chmod(0o700)
        (folder / "etc" / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {name}\n")
        (folder / "etc" / "shadow").write_text("root:*:20000:0:99999:7:::\nsshd:!:20000::::::\n")
        room = ["sh", str(Path(__file__).with_name("furnish.sh")), name, str(folder), str(shared), " ".join(INIT)]
        super().__init__([*world.enter("net", "mount", "pid"), "unshare", *NAMESPACES, *room, *kept_paths()])
        world.plug(name, self, address)

    def run(self, command: str, seconds: float = 60, **environment: str) -> Said:
        """A command in a shell of this host, not a login's; killed after ``seconds``."""
        words = ["timeout", "--kill-after=5", str(seconds), "bash", "-c", command]
        done = subprocess.run(
            self._words(words, environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return Said(done.returncode, done.stdout)

    def do(self, command: str, seconds: float = 60, **environment: str) -> str:
        """What a command says that must succeed."""
        said = self.run(command, seconds, **environment)
        assert said.code == 0, f"{self.name}: {command}: exit code {said.code}\n{said.text}"
        return said.text

    def start(self, command: str, name: str, **environment: str) -> "Started":
        """A command that goes on; what it says lies in the host's folder under ``name``."""
        log = self.folder / "said" / name
        with open(log, "wb") as file:
            words = self._words(["bash", "-c", f"exec {command}"], environment)
            opened = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file, "start_new_session": True}
            return Started(subprocess.Popen(words, **opened), log)

    def processes(self) -> dict[int, str]:
        """What runs on this host but process 1 and sshd waiting for visitors; commands by number here."""
        found = processes_in(self.pid)
        return {n: words for n, words in found.items() if n != self.pid and words and "[listener]" not in words}

    def kill(self, words: str) -> None:
        """Kill, as `kill -9` does, the processes whose command begins with or has a part that ends in ``words``."""
        victims = [n for n, command in self.processes().items() if command.split(" ")[0].endswith(words)]
        assert victims, f"{self.name} has no {words}: {self.processes()}"
        for number in victims:
            os.kill(number, signal.SIGKILL)

    def _words(self, command: list[str], environment: Mapping[str, str]) -> list[str]:
        given = {"HOME": "/root", "PATH": PLAIN, "LANG": "C.UTF-8", "TERM": "dumb", "USER": "root", **environment}
        settings = [f"{name}={value}" for name, value in given.items()]
        return [*self.enter(*ALL), "env", "-i", "--default-signal", "-C", "/root", *settings, *command]


@dataclass(frozen=True)
class Started:
    """A command that goes on."""

    process: subprocess.Popen[bytes]
    log: Path

    def end(self) -> None:
        """End it, and what it started in its terminal, as closing that does: SIGHUP, then SIGKILL."""
        for sent in (signal.SIGHUP, signal.SIGKILL):
            end = time.monotonic() + 15
            while self._send(sent) and time.monotonic() < end:
                time.sleep(0.1)
        self.process.wait(timeout=15)

    def _send(self, sent: signal.Signals) -> bool:
        """Send it to all of them; whether there are any."""
        self.process.poll()  # one that has ended is none
        try:
            os.killpg(self.process.pid, sent)
        except ProcessLookupError:
            return False
        return True


def kept_paths() -> list[str]:
    """What every host has read-only at its usual place: the project, its environment, that environment's Python."""
    return list(dict.fromkeys(str(path) for path in (ROOT, sys.prefix, sys.base_prefix)))
