"""What AWS's stand-in says is running; run beside it: one JSON list of machines a line, whenever it is another one."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3

from nowt.cluster.security_group import FirewallRule, rules_of


def running(ec2: Any) -> Iterator[dict[str, Any]]:
    """Each machine that runs: its number, what Ray has it for, its two addresses, the key that enters it, and its ways
    in, as nftables has them."""
    for reservation in ec2.describe_instances()["Reservations"]:
        for machine in reservation["Instances"]:
            if machine["State"]["Name"] == "running":
                names, tags = [machine["KeyName"]], {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
                yield {
                    "number": machine["InstanceId"],
                    "kind": tags["ray-node-type"],
                    "private": machine["PrivateIpAddress"],
                    "public": machine["PublicIpAddress"],
                    "key": ec2.describe_key_pairs(KeyNames=names, IncludePublicKey=True)["KeyPairs"][0]["PublicKey"],
                    "ways": ways(ec2, [group["GroupId"] for group in machine["SecurityGroups"]]),
                }


def ways(ec2: Any, groups: list[str]) -> list[str]:
    """What the groups let in."""
    found = ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]
    return [in_nftables(rule) for group in found for rule in sorted(rules_of(group))]


def in_nftables(rule: FirewallRule) -> str:
    """One way in; from a group means from the network that all machines are in, and nothing else is."""
    source = "172.31.0.0/16" if rule.source.startswith("sg-") else rule.source
    ports = "" if rule.protocol == "-1" else f" {rule.protocol} dport {rule.first}-{rule.last}"
    return f"ip saddr {source}{ports} accept"


def main(region: str) -> None:
    """Look twice a second, until killed."""
    ec2, before = boto3.client("ec2", region_name=region), None
    while True:
        if (now := list(running(ec2))) != before:
            print(json.dumps(now), flush=True)
        before = now
        time.sleep(0.5)


if __name__ == "__main__":
    main(sys.argv[1])
