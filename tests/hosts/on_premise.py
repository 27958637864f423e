"""The shipped on-premise file with the lines that a user edits, on a laptop that has the project."""

import re
from collections.abc import Sequence

from tests.hosts import sshd
from tests.hosts.commands import copy_project, done, ssh
from tests.hosts.lab import Lab

ADDRESSES = {"head": "10.0.0.1/24", "one": "10.0.0.2/24", "two": "10.0.0.3/24", "laptop": "10.0.0.9/24"}  # the file's

KEY = "~/.ssh/nowt-cluster"

FILE = "platform/clusters/on_premise/cluster.yaml"

# Ray finds out in seconds, not in a minute, that a host is gone; and enters one in vain for 30 s, not 15 minutes
SOONER = (
    "RAY_health_check_initial_delay_ms=2000 RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=3000 "
    "RAY_health_check_failure_threshold=4 AUTOSCALER_NODE_START_WAIT_S=30 ray start --head"
)

# so that two workers of a run need two hosts, and one host may be lost
ONE_CORE = "ray start --num-cpus=1 "


def lay_out(lab: Lab) -> None:
    """What a user does once: the project on the laptop, its file edited, a token, a key that enters the hosts, and the
    firewall on them."""
    laptop = lab["laptop"]
    copy_project(laptop)
    path = laptop.folder / "root" / "nowt" / FILE
    path.write_text(edited(path.read_text(), [host.address for host in lab.cluster if host.name != "head"]))
    done(laptop, "ray get-auth-token --generate > /dev/null && chmod 600 ~/.ray/auth_token")
    done(laptop, f"mkdir -m 700 -p ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f {KEY}")
    for host in lab.cluster:
        sshd.let_in(host, done(laptop, f"cat {KEY}.pub"))
        done(laptop, f"{ssh(KEY)} {host.address} nft -f - < {FILE.replace('cluster.yaml', 'firewall.nft')}")


def edited(text: str, workers: Sequence[str]) -> str:
    """The file for these hosts: who enters them, which workers there are, one core each, and less patience."""
    text = once(text, "worker_ips: [10.0.0.2, 10.0.0.3]", f"worker_ips: [{', '.join(workers)}]")
    text = once(text, "ssh_user: ubuntu", "ssh_user: root")
    text = once(text, "ray start --head", SOONER)
    assert text.count("    ray start ") == 1 and text.count(" ray start --head") == 1
    return re.sub(r"\bray start (?=--)", ONE_CORE, text)


def once(text: str, old: str, new: str) -> str:
    """``text`` with its only ``old`` replaced."""
    assert text.count(old) == 1, f"{text.count(old)} times {old!r}"
    return text.replace(old, new)
