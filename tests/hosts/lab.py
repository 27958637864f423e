"""The machines of a test, by name."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hosts import sshd
from tests.hosts.bridge import World
from tests.hosts.hosts import Host

OUTSIDE = ("laptop", "stranger", "cloud")


@dataclass(frozen=True)
class Lab:
    """Hosts, among them a laptop; their network, the disk that they share (/srv), and the folder of their files."""

    world: World
    hosts: dict[str, Host]
    shared: Path
    folder: Path

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def cluster(self) -> list[Host]:
        """The hosts that Ray may run on."""
        return [host for name, host in self.hosts.items() if name not in OUTSIDE]

    def named(self, address: str) -> str:
        """The name of the host with this address."""
        (name,) = (name for name, host in self.hosts.items() if host.address == address)
        return name

    def switch_on(self, name: str, address: str) -> Host:
        """A machine more; one that Ray may run on waits for visitors, and has nowt's environment."""
        host = self.hosts[name] = Host(self.world, name, address, self.folder / name, self.shared)
        if name not in OUTSIDE:
            sshd.listen(host)
            sshd.give_environment(host)
        return host


@contextmanager
def machines(folder: Path, addresses: Mapping[str, str]) -> Iterator[Lab]:
    """The machines with these addresses; nothing of them is left afterwards, whatever happens."""
    (folder / "shared").mkdir()
    with closing(World()) as world:
        made = Lab(world, {}, folder / "shared", folder)
        try:
            for name, address in addresses.items():
                made.switch_on(name, address)
            yield made
        finally:
            for host in made.hosts.values():
                host.close()
