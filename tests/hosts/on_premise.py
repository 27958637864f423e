"""Setup of an on-premise cluster: the shipped cluster file with a user's edits, on a laptop with the project."""

import re
from collections.abc import Sequence

from tests.hosts import sshd
from tests.hosts.commands import command_output, copy_project, ssh
from tests.hosts.testbed import HostTestbed

# the addresses in the shipped file
ADDRESSES = {"head": "10.0.0.1/24", "one": "10.0.0.2/24", "two": "10.0.0.3/24", "laptop": "10.0.0.9/24"}

KEY = "~/.ssh/nowt-cluster"

FILE = "platform/clusters/on_premise/cluster.yaml"

# Ray detects a lost host within seconds instead of a minute, and tries to start it for 30 s instead of 15 minutes
FAST_FAILURE_DETECTION = (
    "RAY_health_check_initial_delay_ms=2000 RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=3000 "
    "RAY_health_check_failure_threshold=4 AUTOSCALER_NODE_START_WAIT_S=30 ray start --head"
)

# two workers of a run then need two hosts, and one of the three may be lost
ONE_CORE = "ray start --num-cpus=1 "


def set_up(testbed: HostTestbed) -> None:
    """Do what a user does once: copy the project to the laptop, edit its cluster file, create a token and an ssh key,
    and set up the firewall on the hosts."""
    laptop = testbed["laptop"]
    copy_project(laptop)
    path = laptop.folder / "root" / "nowt" / FILE
    path.write_text(edit(path.read_text(), [host.address for host in testbed.cluster_hosts if host.name != "head"]))
    command_output(laptop, "ray get-auth-token --generate > /dev/null && chmod 600 ~/.ray/auth_token")
    command_output(laptop, f"mkdir -m 700 -p ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f {KEY}")
    for host in testbed.cluster_hosts:
        sshd.authorize(host, command_output(laptop, f"cat {KEY}.pub"))
        command_output(laptop, f"{ssh(KEY)} {host.address} nft -f - < {FILE.replace('cluster.yaml', 'firewall.nft')}")


def edit(text: str, workers: Sequence[str]) -> str:
    """Adapt the file to these hosts: the ssh user, the workers, one core per host, and shorter timeouts."""
    text = replace_once(text, "worker_ips: [10.0.0.2, 10.0.0.3]", f"worker_ips: [{', '.join(workers)}]")
    text = replace_once(text, "ssh_user: ubuntu", "ssh_user: root")
    text = replace_once(text, "ray start --head", FAST_FAILURE_DETECTION)
    assert text.count("    ray start ") == 1 and text.count(" ray start --head") == 1
    return re.sub(r"\bray start (?=--)", ONE_CORE, text)


def replace_once(text: str, old: str, new: str) -> str:
    """Replace ``old``, which must occur once."""
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
    return text.replace(old, new)
