"""The network of the hosts: a bridge in a network namespace that is isolated from the machine's network."""

import subprocess

from tests.hosts.namespaces import INIT, Namespaces

NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


class Network(Namespaces):
    """The namespaces that contain all hosts. Closing them removes the bridge and all hosts."""

    def __init__(self) -> None:
        super().__init__(["unshare", *NAMESPACES, *INIT])
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", "bridge", "type", "bridge")
        self.ip("link", "set", "bridge", "up")

    def ip(self, *args: str) -> None:
        """Run ``ip`` in this network namespace."""
        run([*self.enter("net"), "ip", *args])

    def connect(self, name: str, host: Namespaces, address: str) -> None:
        """Connect a host to the bridge; its eth0 gets the address."""
        self.ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
        self.ip("link", "set", name, "master", "bridge", "up")
        for args in ("link set lo up", f"addr add {address} dev eth0", "link set eth0 up"):
            run([*host.enter("net"), "ip", *args.split()])

    def disconnect(self, name: str) -> None:
        """Disconnect a host from the bridge (a network partition)."""
        self.ip("link", "set", name, "down")

    def reconnect(self, name: str) -> None:
        """Reconnect a host to the bridge."""
        self.ip("link", "set", name, "up")


def run(command: list[str]) -> str:
    """Return the standard output of a short command. Raises AssertionError with its standard error if it fails."""
    completed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == 0, f"{' '.join(command)}: {completed.stderr}"
    return completed.stdout
