"""The hosts themselves: each is a machine of its own as far as Ray can tell."""

from lab import Lab


def test_each_host_has_name_processes_files_and_network_of_its_own(lab: Lab) -> None:
    for host in lab.cluster:
        assert host.do("hostname; hostname -i").split() == [host.name, host.address]
        host.do("touch /tmp/mine /dev/shm/mine ~/mine; cat < /dev/null > /srv/ours")
    assert lab.laptop.do("ls /tmp /dev/shm ~").split() == ["/dev/shm:", "/root:", "/tmp:"]
    assert lab.laptop.do("ls /srv").split() == ["ours"]


def test_the_laptop_enters_every_host_and_no_other_way_in_is_open(lab: Lab) -> None:
    for host in lab.cluster:
        ssh = f"ssh -i ~/.ssh/nowt-cluster -o StrictHostKeyChecking=no -o BatchMode=yes {host.address} hostname"
        assert lab.laptop.do(ssh).split()[-1] == host.name
        assert lab.one.run(ssh).code == 255  # it has no key


def test_a_cut_cable_cuts_a_host_off(lab: Lab) -> None:
    ping = f"python3 -c 'import socket; socket.create_connection((\"{lab.one.address}\", 22), timeout=2)'"
    assert lab.laptop.run(ping).code == 0
    lab.world.cut("one")
    assert lab.laptop.run(ping).code == 1
    lab.world.mend("one")
    assert lab.laptop.run(ping).code == 0
