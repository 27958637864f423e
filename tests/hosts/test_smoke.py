"""What `make check` tries of the hosts, where root and Debian's tools are; the rest is `make cluster-test`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import on_premise
from tests.hosts.asked import alive, must_be_closed, must_be_refused, seen_from
from tests.hosts.commands import done, wait
from tests.hosts.lab import Lab, machines
from tests.hosts.on_premise import FILE

ADDRESSES = {name: address for name, address in on_premise.ADDRESSES.items() if name != "two"}


@pytest.fixture(scope="module")
def up(place: Path) -> Iterator[Lab]:
    """Two hosts and a laptop, a firewall on the hosts, and Ray on both."""
    with machines(place, ADDRESSES) as lab:
        on_premise.lay_out(lab)
        done(lab["laptop"], f"ray up -y --no-config-cache {FILE} 2>&1")
        yield lab


def test_ray_up_makes_a_cluster_of_hosts_whose_ports_are_closed_to_all_others(up: Lab) -> None:
    wait(lambda: alive(up) == {"head", "one"}, "both hosts in the cluster")
    must_be_refused(seen_from(up["one"], up["head"].address))
    for host in up.cluster:
        must_be_closed(seen_from(up["laptop"], host.address))
