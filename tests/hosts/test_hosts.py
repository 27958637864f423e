"""The simulated hosts are isolated from each other and can be disconnected from the network."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import on_premise, sshd
from tests.hosts.commands import ssh
from tests.hosts.testbed import HostTestbed, create_testbed


@pytest.fixture(scope="module")
def testbed(testbed_folder: Path) -> Iterator[HostTestbed]:
    with create_testbed(testbed_folder, on_premise.ADDRESSES) as testbed:
        yield testbed


def test_each_host_has_its_own_name_processes_files_and_network(testbed: HostTestbed) -> None:
    for host in testbed.cluster_hosts:
        assert host.check_output("hostname; hostname -i").split() == [host.name, host.address]
        host.check_output("touch /tmp/mine /dev/shm/mine ~/mine /srv/ours")
        assert set(host.processes()) == set()
    found = testbed["laptop"].check_output("ls -d /tmp/mine /dev/shm/mine ~/mine /srv/ours || true").split("\n")
    assert [line for line in found if "cannot access" not in line and line] == ["/srv/ours"]


def test_a_host_accepts_only_its_authorized_key(testbed: HostTestbed) -> None:
    testbed["laptop"].check_output("ssh-keygen -q -t ed25519 -N '' -f ~/key")
    for host in testbed.cluster_hosts:
        assert testbed["laptop"].run(f"{ssh('~/key')} {host.address} hostname").exit_code == 255
        sshd.authorize(host, testbed["laptop"].check_output("cat ~/key.pub"))
        assert testbed["laptop"].check_output(f"{ssh('~/key')} {host.address} hostname").split() == [host.name]


def test_a_disconnected_host_is_not_reachable(testbed: HostTestbed) -> None:
    call = f"python3 -c 'import socket; socket.create_connection((\"{testbed['one'].address}\", 22), timeout=2)'"
    assert testbed["laptop"].run(call).exit_code == 0
    testbed.network.disconnect("one")
    assert testbed["laptop"].run(call).exit_code == 1
    testbed.network.reconnect("one")
    assert testbed["laptop"].run(call).exit_code == 0
