"""The test on simulated hosts in `make check` (skipped without root). `make cluster-test` runs all others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import on_premise
from tests.hosts.commands import command_output, wait_for
from tests.hosts.on_premise import FILE
from tests.hosts.queries import alive_hosts, assert_closed, assert_refused, scan_ports
from tests.hosts.testbed import HostTestbed, create_testbed

ADDRESSES = {name: address for name, address in on_premise.ADDRESSES.items() if name != "two"}


@pytest.fixture(scope="module")
def cluster(testbed_folder: Path) -> Iterator[HostTestbed]:
    """A running Ray cluster of two hosts with a firewall, and a laptop."""
    with create_testbed(testbed_folder, ADDRESSES) as testbed:
        on_premise.set_up(testbed)
        command_output(testbed["laptop"], f"ray up -y --no-config-cache {FILE} 2>&1")
        yield testbed


def test_ray_up_starts_a_cluster_whose_ports_are_closed_to_other_hosts(cluster: HostTestbed) -> None:
    wait_for(lambda: alive_hosts(cluster) == {"head", "one"}, "both hosts in the cluster")
    assert_refused(scan_ports(cluster["one"], cluster["head"].address))
    for host in cluster.cluster_hosts:
        assert_closed(scan_ports(cluster["laptop"], host.address))
