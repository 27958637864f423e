"""The testbed: the simulated hosts of a test, by name, and their network."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hosts import sshd
from tests.hosts.bridge import Network
from tests.hosts.hosts import Host

NON_CLUSTER_HOSTS = ("laptop", "stranger", "cloud")


@dataclass(frozen=True)
class HostTestbed:
    """Hosts (among them a laptop), their network, their shared disk (/srv), and the folder of their files."""

    network: Network
    hosts: dict[str, Host]
    shared: Path
    folder: Path

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def cluster_hosts(self) -> list[Host]:
        """The hosts that Ray may run on."""
        return [host for name, host in self.hosts.items() if name not in NON_CLUSTER_HOSTS]

    def name_of(self, address: str) -> str:
        """The name of the host with this address."""
        (name,) = (name for name, host in self.hosts.items() if host.address == address)
        return name

    def add_host(self, name: str, address: str) -> Host:
        """Add a host. Hosts that Ray may run on get an sshd and nowt's environment."""
        host = self.hosts[name] = Host(self.network, name, address, self.folder / name, self.shared)
        if name not in NON_CLUSTER_HOSTS:
            sshd.start(host)
            sshd.create_environment(host)
        return host


@contextmanager
def create_testbed(folder: Path, addresses: Mapping[str, str]) -> Iterator[HostTestbed]:
    """Create hosts with these addresses; all of them are removed afterwards, also after an error."""
    (folder / "shared").mkdir()
    with closing(Network()) as network:
        created = HostTestbed(network, {}, folder / "shared", folder)
        try:
            for name, address in addresses.items():
                created.add_host(name, address)
            yield created
        finally:
            for host in created.hosts.values():
                host.close()
