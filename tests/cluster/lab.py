"""The machines of a test, by what they are for."""

from dataclasses import dataclass
from pathlib import Path

from bridge import World
from hosts import Host


@dataclass(frozen=True)
class Lab:
    """A head, two more hosts, a laptop, their network, and the disk that the hosts share (/srv)."""

    world: World
    head: Host
    one: Host
    two: Host
    laptop: Host
    shared: Path

    @property
    def cluster(self) -> tuple[Host, Host, Host]:
        """The hosts that Ray runs on."""
        return self.head, self.one, self.two
