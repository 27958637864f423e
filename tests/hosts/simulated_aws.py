"""A simulated AWS (moto) on a host of the testbed. Each running instance is another host of the testbed.

The host of an instance has the addresses that moto assigned, the public key of its key pair, and its security group as
a firewall. It is created when the instance starts and removed, with its disk, when the instance is terminated.
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
from tests.hosts.commands import command_output, http_status, user_environment, wait_for
from tests.hosts.hosts import ROOT, BackgroundCommand, Host
from tests.hosts.testbed import HostTestbed

HERE = Path(__file__).parent

REGION = "us-west-2"

ADDRESSES = {"cloud": "203.0.113.250/24", "laptop": "203.0.113.7/24", "stranger": "203.0.113.99/24"}

AWS = "http://203.0.113.250:5599"

PUBLIC, PRIVATE = "54.214.0.0/16", "172.31.0.0/16"  # moto's address ranges

FIREWALL = """table inet group {{
  chain input {{
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
    {}
  }}
}}
"""

PROJECT_ENVIRONMENT = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"}

# Ray detects a lost machine within seconds instead of a minute
FAST_FAILURE_DETECTION = (
    "export RAY_health_check_initial_delay_ms=2000 RAY_health_check_period_ms=1000 "
    "RAY_health_check_timeout_ms=3000 RAY_health_check_failure_threshold=4\n"
)


@dataclass
class Cloud:
    """The simulated account, and the host name of each running instance by instance ID."""

    testbed: HostTestbed
    host_names: dict[str, str]

    def follow(self, lines: Iterator[str]) -> None:
        """Create and remove hosts to match each list of running instances in ``lines``."""
        for line in lines:
            running = {instance["id"]: instance for instance in json.loads(line)}
            for instance_id in self.host_names.keys() - running.keys():
                self.testbed[self.host_names.pop(instance_id)].close()
            for instance_id in running.keys() - self.host_names.keys():
                self.add_host(running[instance_id])

    def add_host(self, instance: dict[str, Any]) -> None:
        """Create the host of an instance. Names: head, head-2 (a replacement), worker, worker-2, worker-3."""
        kind, earlier = instance["kind"], [name for name in self.testbed.hosts if name.startswith(instance["kind"])]
        name = f"{kind}-{len(earlier) + 1}" if earlier else kind
        host = self.testbed.add_host(name, f"{instance['private']}/16")
        route(host, f"addr add {instance['public']}/32 dev eth0", "route add 203.0.113.0/24 dev eth0")
        write_credentials(host)
        install_aws_cli(host)
        host.check_output(f"nft -f - <<'END'\n{FIREWALL.format('; '.join(instance['rules']))}END")
        sshd.authorize(host, instance["key"])
        self.host_names[instance["id"]] = name

    def evaluate(self, code: str) -> Any:
        """Evaluate a Python expression on the laptop, where ``aws(SERVICE)`` is a boto3 client."""
        script = f"import boto3, json; aws = boto3.client; print(json.dumps({code}, default=str))"
        return json.loads(command_output(self.testbed["laptop"], f'python -c "{script}"'))

    @property
    def head(self) -> Host:
        """The host of the running head."""
        (name,) = (name for name in list(self.host_names.values()) if name.startswith("head"))
        return self.testbed[name]

    def instances(self) -> list[dict[str, Any]]:
        """The description of each instance that is not terminated."""
        pages = self.evaluate("aws('ec2').describe_instances()['Reservations']")
        return [m for page in pages for m in page["Instances"] if m["State"]["Name"] != "terminated"]

    def public_address(self, host: Host) -> str:
        """The public address of a host."""
        (found,) = (m for m in self.instances() if m["PrivateIpAddress"] == host.address)
        return str(found["PublicIpAddress"])

    def terminate(self, name: str) -> None:
        """Terminate the instance of a host without warning; its disk is deleted."""
        (instance_id,) = (key for key, host_name in list(self.host_names.items()) if host_name == name)
        self.evaluate(f"aws('ec2').terminate_instances(InstanceIds=['{instance_id}'])")
        wait_for(lambda: instance_id not in self.host_names, f"the end of {name}")


@contextmanager
def simulated_account(testbed: HostTestbed) -> Iterator[Cloud]:
    """An empty account; the laptop has its credentials."""
    for name in ("laptop", "stranger"):
        route(testbed[name], f"route add {PUBLIC} dev eth0")
    route(testbed["cloud"], f"route add {PRIVATE} dev eth0")
    for name in ("cloud", "laptop"):
        write_credentials(testbed[name])
    serve = f"python {HERE / 'moto_server.py'} -H 203.0.113.250 -p 5599"
    server = testbed["cloud"].start(serve, "server", **user_environment())
    wait_for(lambda: http_status(testbed["laptop"], f"{AWS}/moto-api/"), server)
    made = Cloud(testbed, {})
    environment = {**user_environment(), **PROJECT_ENVIRONMENT}
    watch = testbed["cloud"].start(f"python {HERE / 'instance_watcher.py'} {REGION}", "watch", **environment)
    follower = Thread(target=made.follow, args=(output_lines(watch),), name="cloud")
    follower.start()
    try:
        yield made
    finally:
        watch.end()
        follower.join()
        server.end()


def output_lines(started: BackgroundCommand) -> Iterator[str]:
    """The lines of a running command's output, until it ends."""
    with open(started.log) as file:
        line = ""
        while started.process.poll() is None:
            line += file.readline()
            if line.endswith("\n"):
                yield line
                line = ""
            else:
                time.sleep(0.2)


def write_credentials(host: Host) -> None:
    """Write the account's credentials and endpoint to ~/.aws; on EC2 an instance profile provides them."""
    folder = host.folder / "root" / ".aws"
    folder.mkdir()
    (folder / "config").write_text(f"[default]\nregion = {REGION}\nendpoint_url = {AWS}\n")
    (folder / "credentials").write_text("[default]\naws_access_key_id = testing\naws_secret_access_key = testing\n")


def install_aws_cli(host: Host) -> None:
    """Install the substitute for the AWS CLI, and make Ray detect lost machines sooner."""
    folder = host.folder / "root" / "bin"
    folder.mkdir()
    (folder / "aws").write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "aws_cli.py"} "$@"\n')
    (folder / "aws").chmod(0o755)
    bashrc = host.folder / "root" / ".bashrc"
    bashrc.write_text("export PATH=~/bin:$PATH\n" + FAST_FAILURE_DETECTION + bashrc.read_text())


def route(host: Host, *changes: str) -> None:
    """Change a host's network with ``ip``."""
    for args in changes:
        run([*host.enter("net"), "ip", *args.split()])
