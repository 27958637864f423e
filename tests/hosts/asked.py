"""What a test asks of the hosts: which of them Ray has, what their ports answer, how far the study is."""

import json
from collections.abc import Iterable
from pathlib import Path

from tests.hosts import paced
from tests.hosts.commands import settings, wait
from tests.hosts.hosts import Host
from tests.hosts.lab import Lab
from tests.support.small_studies import logs

HERE = Path(__file__).parent

CLOSED = {"": "closed"}


def environment_of_a_host() -> dict[str, str]:
    """What a shell on a host has."""
    return {**settings(), "PATH": f"/root/nowt-venv/bin:{settings()['PATH']}"}


def alive(lab: Lab) -> set[str]:
    """The hosts that Ray counts as its own."""
    said = lab["head"].do(f"python3 {HERE / 'alive.py'}", **environment_of_a_host())
    return {lab.named(address) for address in json.loads(said)}


def seen_from(host: Host, address: str, further: Iterable[int] = ()) -> dict[str, dict[str, str]]:
    """What ``host`` can do at the ports of another, Ray's and ``further`` ones, without the token."""
    words = " ".join(map(str, (HERE / "look.py", address, *further)))
    said = host.do(f"python {words}", 120, **environment_of_a_host())
    return dict(json.loads(said))


def listened_at(host: Host) -> set[int]:
    """The ports at which a host listens for others, but sshd's."""
    places = [line.split()[3] for line in host.do("ss -ltnH").splitlines()]
    far = [place for place in places if not place.startswith(("127.", "[::1]:", "[::ffff:127."))]
    return {int(place.rpartition(":")[2]) for place in far} - {22}


def last_epoch(store: Path) -> int:
    """How far a store's study is: epochs of all its runs together."""
    return sum(run.last_epoch for run in logs(store).values()) if (store / "logs").is_dir() else -1


def workers(folder: Path) -> set[str]:
    """Hosts, not the head, on which workers of the run in progress are."""
    paced.at_work(folder)
    return set(wait(lambda: paced.at_work(folder) - {"head"}, "a step on another host than the head"))


def must_be_refused(answers: dict[str, dict[str, str]]) -> None:
    """Fail where a host of the cluster without the token can do more than see that Ray lives, and read its metrics: for
    these Ray asks for no token, which is why there is a firewall."""
    assert CLOSED == answers["8265"] == answers["5000"]
    refused = 0
    for port, said in answers.items():
        for call, status in said.items():
            assert status in allowed(call), (port, call, status)
            refused += status == "UNAUTHENTICATED"
    assert refused > 40  # of a raylet alone 31 calls, of its agent 10, of the object manager 2


def allowed(call: str) -> set[str]:
    """How Ray may answer a call that brings no token; UNIMPLEMENTED: it is another server's."""
    if not call:
        return {"closed"}
    if call == "/metrics":
        return {"200"}
    if call.startswith("/ray.rpc."):
        return {"UNAUTHENTICATED", "UNIMPLEMENTED"}
    return {"OK", "UNIMPLEMENTED"} if "Health" in call else {"401", "403"}


def must_be_closed(answers: dict[str, dict[str, str]]) -> None:
    """Fail where anything answers."""
    assert answers and all(said == CLOSED for said in answers.values()), answers
