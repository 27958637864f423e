"""Queries about the hosts: the live nodes of Ray, the responses of ports, the progress of the study."""

import json
from collections.abc import Iterable
from pathlib import Path

from tests.hosts import slow_study
from tests.hosts.commands import user_environment, wait_for
from tests.hosts.hosts import Host
from tests.hosts.testbed import HostTestbed
from tests.support.small_studies import logs

HERE = Path(__file__).parent

CLOSED = {"": "closed"}


def host_environment() -> dict[str, str]:
    """The environment variables of a shell on a host."""
    return {**user_environment(), "PATH": f"/root/nowt-venv/bin:{user_environment()['PATH']}"}


def alive_hosts(testbed: HostTestbed) -> set[str]:
    """The names of the hosts that are live nodes of Ray."""
    addresses = testbed["head"].check_output(f"python3 {HERE / 'alive_nodes.py'}", **host_environment())
    return {testbed.name_of(address) for address in json.loads(addresses)}


def scan_ports(host: Host, address: str, extra_ports: Iterable[int] = ()) -> dict[str, dict[str, str]]:
    """Scan the ports of ``address`` (Ray's and ``extra_ports``) from ``host``, without the token."""
    args = " ".join(map(str, (HERE / "port_scan.py", address, *extra_ports)))
    responses = host.check_output(f"python {args}", 120, **host_environment())
    return dict(json.loads(responses))


def listening_ports(host: Host) -> set[int]:
    """The ports on which a host accepts connections from other hosts, except sshd's."""
    sockets = [line.split()[3] for line in host.check_output("ss -ltnH").splitlines()]
    reachable = [address for address in sockets if not address.startswith(("127.", "[::1]:", "[::ffff:127."))]
    return {int(address.rpartition(":")[2]) for address in reachable} - {22}


def total_epochs(store: Path) -> int:
    """The progress of a study: the sum of the last epochs of all runs in the store."""
    return sum(run.last_epoch for run in logs(store).values()) if (store / "logs").is_dir() else -1


def worker_hosts(folder: Path) -> set[str]:
    """The hosts other than the head on which the current run has workers."""
    slow_study.active_hosts(folder)
    return set(wait_for(lambda: slow_study.active_hosts(folder) - {"head"}, "a step on a host other than the head"))


def assert_refused(responses: dict[str, dict[str, str]]) -> None:
    """Assert that without the token a host of the cluster can only check Ray's health and read its metrics. Ray
    requires no token for these two, which is why the cluster has a firewall."""
    assert CLOSED == responses["8265"] == responses["5000"]
    refused = 0
    for port, statuses in responses.items():
        for call, status in statuses.items():
            assert status in allowed_statuses(call), (port, call, status)
            refused += status == "UNAUTHENTICATED"
    assert refused > 40  # a raylet alone has 31 calls, its agent 10, the object manager 2


def allowed_statuses(call: str) -> set[str]:
    """The permitted statuses of a call without the token. UNIMPLEMENTED: the call belongs to another server."""
    if not call:
        return {"closed"}
    if call == "/metrics":
        return {"200"}
    if call.startswith("/ray.rpc."):
        return {"UNAUTHENTICATED", "UNIMPLEMENTED"}
    return {"OK", "UNIMPLEMENTED"} if "Health" in call else {"401", "403"}


def assert_closed(responses: dict[str, dict[str, str]]) -> None:
    """Assert that no port accepts connections."""
    assert responses and all(response == CLOSED for response in responses.values()), responses
