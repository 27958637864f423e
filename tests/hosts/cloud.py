"""AWS's stand-in (moto's) on a machine of the lab, and what it says is running: hosts of the lab.

An instance is a host with the addresses that the stand-in gave it, the key pair's public half, and its security group
as a firewall; it is switched on when the instance starts, and off, with all that is on it, when the instance ends.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from tests.hosts import sshd
from tests.hosts.bridge import run
from tests.hosts.commands import done, reached, settings, wait
from tests.hosts.hosts import ROOT, Host, Started
from tests.hosts.lab import Lab

HERE = Path(__file__).parent

REGION = "us-west-2"

ADDRESSES = {"cloud": "203.0.113.250/24", "laptop": "203.0.113.7/24", "stranger": "203.0.113.99/24"}

AWS = "http://203.0.113.250:5599"

PUBLIC, PRIVATE = "54.214.0.0/16", "172.31.0.0/16"  # where the stand-in's addresses are

FILTER = """table inet group {{
  chain input {{
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
    {}
  }}
}}
"""

PROJECT = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"}

# Ray finds out in seconds, not in a minute, that a machine is gone
SOONER = (
    "export RAY_health_check_initial_delay_ms=2000 RAY_health_check_period_ms=1000 "
    "RAY_health_check_timeout_ms=3000 RAY_health_check_failure_threshold=4\n"
)


@dataclass
class Cloud:
    """The account, and the names of the lab's hosts by the instances that they are."""

    lab: Lab
    names: dict[str, str]

    def follow(self, said: Iterator[str]) -> None:
        """Switch hosts on and off, as ``said`` tells, to its end."""
        for line in said:
            wanted = {machine["number"]: machine for machine in json.loads(line)}
            for number in self.names.keys() - wanted.keys():
                self.lab[self.names.pop(number)].close()
            for number in wanted.keys() - self.names.keys():
                self.switch_on(wanted[number])

    def switch_on(self, machine: dict[str, Any]) -> None:
        """The host that an instance is: head, worker, worker-2, worker-3, or head-2 where there was a head before."""
        kind, before = machine["kind"], [name for name in self.lab.hosts if name.startswith(machine["kind"])]
        name = f"{kind}-{len(before) + 1}" if before else kind
        host = self.lab.switch_on(name, f"{machine['private']}/16")
        route(host, f"addr add {machine['public']}/32 dev eth0", "route add 203.0.113.0/24 dev eth0")
        give_account(host)
        give_tool(host)
        host.do(f"nft -f - <<'END'\n{FILTER.format('; '.join(machine['ways']))}END")
        sshd.let_in(host, machine["key"])
        self.names[machine["number"]] = name

    def ask(self, code: str) -> Any:
        """What an expression of Python's is, in JSON's terms, where ``aws`` is a function that gives clients."""
        text = f"import boto3, json; aws = boto3.client; print(json.dumps({code}, default=str))"
        return json.loads(done(self.lab["laptop"], f'python -c "{text}"'))

    @property
    def head(self) -> Host:
        """The head that runs."""
        (name,) = (name for name in list(self.names.values()) if name.startswith("head"))
        return self.lab[name]

    def machines(self) -> list[dict[str, Any]]:
        """What the account says of each machine that is not gone."""
        pages = self.ask("aws('ec2').describe_instances()['Reservations']")
        return [m for page in pages for m in page["Instances"] if m["State"]["Name"] != "terminated"]

    def public(self, host: Host) -> str:
        """The address at which a machine is reached from outside."""
        (found,) = (m for m in self.machines() if m["PrivateIpAddress"] == host.address)
        return str(found["PublicIpAddress"])

    def take_away(self, name: str) -> None:
        """End a machine without a word, with its disk."""
        (number,) = (number for number, here in list(self.names.items()) if here == name)
        self.ask(f"aws('ec2').terminate_instances(InstanceIds=['{number}'])")
        wait(lambda: number not in self.names, f"the end of {name}")


@contextmanager
def account(lab: Lab) -> Iterator[Cloud]:
    """An empty account; the laptop has keys to it."""
    for name in ("laptop", "stranger"):
        route(lab[name], f"route add {PUBLIC} dev eth0")
    route(lab["cloud"], f"route add {PRIVATE} dev eth0")
    for name in ("cloud", "laptop"):
        give_account(lab[name])
    server = lab["cloud"].start(f"python {HERE / 'stand_in.py'} -H 203.0.113.250 -p 5599", "server", **settings())
    wait(lambda: reached(lab["laptop"], f"{AWS}/moto-api/"), server)
    made = Cloud(lab, {})
    watch = lab["cloud"].start(f"python {HERE / 'watch.py'} {REGION}", "watch", **{**settings(), **PROJECT})
    follower = Thread(target=made.follow, args=(lines_of(watch),), name="cloud")
    follower.start()
    try:
        yield made
    finally:
        watch.end()
        follower.join()
        server.end()


def lines_of(started: Started) -> Iterator[str]:
    """What a command says, line by line, until it ends."""
    with open(started.log) as file:
        line = ""
        while started.process.poll() is None:
            line += file.readline()
            if line.endswith("\n"):
                yield line
                line = ""
            else:
                time.sleep(0.2)


def give_account(host: Host) -> None:
    """Keys to the account, and the way to it: what a machine of AWS has by its profile."""
    folder = host.folder / "root" / ".aws"
    folder.mkdir()
    (folder / "config").write_text(f"[default]\nregion = {REGION}\nendpoint_url = {AWS}\n")
    (folder / "credentials").write_text("[default]\naws_access_key_id = testing\naws_secret_access_key = testing\n")


def give_tool(host: Host) -> None:
    """AWS's own command, which images for EC2 have, and a Ray that learns soon of lost machines."""
    folder = host.folder / "root" / "bin"
    folder.mkdir()
    (folder / "aws").write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "aws.py"} "$@"\n')
    (folder / "aws").chmod(0o755)
    bashrc = host.folder / "root" / ".bashrc"
    bashrc.write_text("export PATH=~/bin:$PATH\n" + SOONER + bashrc.read_text())


def route(host: Host, *changes: str) -> None:
    """Change a host's network with ``ip``."""
    for words in changes:
        run([*host.enter("net"), "ip", *words.split()])
