"""The network between the hosts: a bridge in a network namespace, which nothing outside can reach."""

import subprocess

from tests.hosts.namespaces import INIT, Space

NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


class World(Space):
    """What the hosts are in. Where it ends, the bridge and all hosts do."""

    def __init__(self) -> None:
        super().__init__(["unshare", *NAMESPACES, *INIT])
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", "bridge", "type", "bridge")
        self.ip("link", "set", "bridge", "up")

    def ip(self, *words: str) -> None:
        """``ip`` in the world's network."""
        run([*self.enter("net"), "ip", *words])

    def plug(self, name: str, host: Space, address: str) -> None:
        """Connect a host: its eth0 gets the address, its other end is on the bridge."""
        self.ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
        self.ip("link", "set", name, "master", "bridge", "up")
        for words in ("link set lo up", f"addr add {address} dev eth0", "link set eth0 up"):
            run([*host.enter("net"), "ip", *words.split()])

    def cut(self, name: str) -> None:
        """Pull a host's cable."""
        self.ip("link", "set", name, "down")

    def mend(self, name: str) -> None:
        """Put it in again."""
        self.ip("link", "set", name, "up")


def run(command: list[str]) -> str:
    """What a short command says. Raises AssertionError with what it complains of."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
