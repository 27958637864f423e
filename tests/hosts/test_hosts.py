"""The hosts themselves: each is a machine of its own, and a cable can be pulled."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import on_premise, sshd
from tests.hosts.commands import ssh
from tests.hosts.lab import Lab, machines


@pytest.fixture(scope="module")
def lab(place: Path) -> Iterator[Lab]:
    with machines(place, on_premise.ADDRESSES) as made:
        yield made


def test_each_host_has_name_processes_files_and_network_of_its_own(lab: Lab) -> None:
    for host in lab.cluster:
        assert host.do("hostname; hostname -i").split() == [host.name, host.address]
        host.do("touch /tmp/mine /dev/shm/mine ~/mine /srv/ours")
        assert set(host.processes()) == set()
    assert lab["laptop"].do("ls /tmp /dev/shm ~").split() == ["/dev/shm:", "/root:", "/tmp:"]
    assert lab["laptop"].do("ls /srv").split() == ["ours"]


def test_a_host_is_entered_with_its_key_alone(lab: Lab) -> None:
    lab["laptop"].do("ssh-keygen -q -t ed25519 -N '' -f ~/key")
    for host in lab.cluster:
        assert lab["laptop"].run(f"{ssh('~/key')} {host.address} hostname").code == 255
        sshd.let_in(host, lab["laptop"].do("cat ~/key.pub"))
        assert lab["laptop"].do(f"{ssh('~/key')} {host.address} hostname").split() == [host.name]


def test_a_host_whose_cable_is_pulled_is_cut_off(lab: Lab) -> None:
    call = f"python3 -c 'import socket; socket.create_connection((\"{lab['one'].address}\", 22), timeout=2)'"
    assert lab["laptop"].run(call).code == 0
    lab.world.cut("one")
    assert lab["laptop"].run(call).code == 1
    lab.world.mend("one")
    assert lab["laptop"].run(call).code == 0
