"""The machines of a test, by name."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sshd
from bridge import World
from hosts import Host


@dataclass(frozen=True)
class Lab:
    """Hosts, among them a laptop; their network, and the disk that they share (/srv)."""

    world: World
    hosts: dict[str, Host]
    shared: Path

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def cluster(self) -> list[Host]:
        """The hosts that Ray may run on."""
        return [host for name, host in self.hosts.items() if name not in ("laptop", "cloud")]

    def named(self, address: str) -> str:
        """The name of the host with this address."""
        (name,) = (name for name, host in self.hosts.items() if host.address == address)
        return name


@contextmanager
def machines(folder: Path, addresses: Mapping[str, str]) -> Iterator[Lab]:
    """The machines with these addresses; nothing of them is left afterwards, whatever happens."""
    (folder / "shared").mkdir()
    with ExitStack() as stack:
        world = stack.enter_context(closing(World()))
        made = Lab(world, {}, folder / "shared")
        for name, address in addresses.items():
            made.hosts[name] = stack.enter_context(closing(Host(world, name, address, folder / name, made.shared)))
        for host in made.cluster:
            sshd.listen(host)
            sshd.give_environment(host)
        yield made
