"""Print the running instances of the simulated AWS as one line of JSON, whenever they change. Runs on moto's host."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3

from nowt.cluster.security_group import FirewallRule, rules_of


def running(ec2: Any) -> Iterator[dict[str, Any]]:
    """Each running instance: its ID, Ray node type, private and public address, public ssh key, and security group
    rules in nftables syntax."""
    for reservation in ec2.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] == "running":
                names, tags = [instance["KeyName"]], {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
                yield {
                    "id": instance["InstanceId"],
                    "kind": tags["ray-node-type"],
                    "private": instance["PrivateIpAddress"],
                    "public": instance["PublicIpAddress"],
                    "key": ec2.describe_key_pairs(KeyNames=names, IncludePublicKey=True)["KeyPairs"][0]["PublicKey"],
                    "rules": firewall_rules(ec2, [group["GroupId"] for group in instance["SecurityGroups"]]),
                }


def firewall_rules(ec2: Any, groups: list[str]) -> list[str]:
    """The ingress rules of the security groups, in nftables syntax."""
    found = ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]
    return [nftables_rule(rule) for group in found for rule in sorted(rules_of(group))]


def nftables_rule(rule: FirewallRule) -> str:
    """One rule in nftables syntax. A security group as source becomes the private network; only the group uses it."""
    source = "172.31.0.0/16" if rule.source.startswith("sg-") else rule.source
    ports = "" if rule.protocol == "-1" else f" {rule.protocol} dport {rule.first}-{rule.last}"
    return f"ip saddr {source}{ports} accept"


def main(region: str) -> None:
    """Poll twice per second until killed."""
    ec2, previous = boto3.client("ec2", region_name=region), None
    while True:
        if (current := list(running(ec2))) != previous:
            print(json.dumps(current), flush=True)
        previous = current
        time.sleep(0.5)


if __name__ == "__main__":
    main(sys.argv[1])
