"""The security group of the cluster: all traffic from itself, port 22 from the user's networks, nothing else.

Ray opens port 22 to the internet in a group without rules, and does not change a group that has rules. The group is
therefore created before Ray looks for it, under the name in the file, in the VPC that Ray will choose.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from nowt.cluster.aws import Account
from nowt.cluster.cluster_file import ClusterFile
from nowt.cluster.ray_internals import find_vpcs
from nowt.cluster.steps import Step
from nowt.cluster.validators import silence_ray
from nowt.core.errors import UserError

Network = IPv4Network | IPv6Network

CLUSTER_TAG = "nowt-cluster"  # tag of everything that prepare creates; its value is the cluster name

MIN_PREFIX = {4: 16, 6: 32}  # shortest prefix accepted for a public network: a university's

PRIVATE = [ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")]


@dataclass(frozen=True, order=True)
class FirewallRule:
    """An ingress rule: protocol (-1: all), ports, and source: a network, or the id of a group."""

    protocol: str
    first: int
    last: int
    source: str

    def __str__(self) -> str:
        ports = "all ports" if self.protocol == "-1" else f"{self.protocol} {self.first}"
        return f"{ports}{f'-{self.last}' if self.last != self.first else ''} from {self.source}"

    def permission(self) -> dict[str, Any]:
        """Return the rule in EC2's format."""
        ports = {} if self.protocol == "-1" else {"FromPort": self.first, "ToPort": self.last}
        if self.source.startswith("sg-"):
            return {"IpProtocol": self.protocol, **ports, "UserIdGroupPairs": [{"GroupId": self.source}]}
        if self.source.startswith("pl-"):
            return {"IpProtocol": self.protocol, **ports, "PrefixListIds": [{"PrefixListId": self.source}]}
        if ":" in self.source:
            return {"IpProtocol": self.protocol, **ports, "Ipv6Ranges": [{"CidrIpv6": self.source}]}
        return {"IpProtocol": self.protocol, **ports, "IpRanges": [{"CidrIp": self.source}]}


def networks(text: str) -> list[Network]:
    """Parse ``--ssh-from``: comma-separated networks. Raises ValueError if one is invalid or too wide."""
    found = []
    for word in text.split(","):
        try:
            network = ip_network(word.strip())
        except ValueError as error:
            raise UserError(f"--ssh-from is {word.strip()!r}: {error}; for a single address, give ADDRESS/32") from None
        if not _narrow_enough(network):
            raise UserError(f"--ssh-from is {network}: this network is too wide; give your address, ADDRESS/32")
        found.append(network)
    return found


def vpc_of(cluster: ClusterFile) -> str:
    """Return the id of the VPC in which Ray will start the machines. Raises ValueError if there is not exactly one."""
    import click

    try:
        with silence_ray():
            vpcs = find_vpcs(copy.deepcopy(cluster.config))
    except (click.ClickException, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it names none"
        raise UserError(f"Ray finds no public subnet in {cluster.region} for this file: {reason}") from None
    if len(vpcs) > 1:
        raise UserError(f"the node types are in {len(vpcs)} networks: give all of them the same SubnetIds")
    return vpcs.pop()


def groups_of(cluster: ClusterFile, account: Account) -> list[dict[str, Any]]:
    """Return the groups with the name in the file, in any VPC."""
    named = {"Name": "group-name", "Values": [cluster.security_group]}
    found: list[dict[str, Any]] = account.ec2.describe_security_groups(Filters=[named])["SecurityGroups"]
    return found


def rules_of(group: dict[str, Any]) -> set[FirewallRule]:
    """Return the ingress rules of a group, one source each."""
    found = set()
    for permission in group["IpPermissions"]:
        sources = [r["CidrIp"] for r in permission.get("IpRanges", [])]
        sources += [r["CidrIpv6"] for r in permission.get("Ipv6Ranges", [])]
        sources += [pair["GroupId"] for pair in permission.get("UserIdGroupPairs", [])]
        sources += [entry["PrefixListId"] for entry in permission.get("PrefixListIds", [])]
        protocol = permission["IpProtocol"]
        first, last = (-1, -1) if protocol == "-1" else (permission.get("FromPort", -1), permission.get("ToPort", -1))
        found |= {FirewallRule(protocol, first, last, source) for source in sources}
    return found


def group_steps(cluster: ClusterFile, account: Account, allowed: Sequence[Network]) -> list[Step]:
    """Return the steps that create the missing group and give it exactly its rules; empty if it has them."""
    vpc = vpc_of(cluster)
    group = next((g for g in groups_of(cluster, account) if g["VpcId"] == vpc), None)
    if group is None:
        sources = ", ".join(str(network) for network in allowed)
        text = f"create the security group {cluster.security_group} in {vpc}: all from itself, port 22 from {sources}"
        return [Step(text, lambda: _create(cluster, account, vpc, allowed))]
    existing, wanted = rules_of(group), _wanted(group["GroupId"], allowed)
    return [
        *(
            Step(f"allow in {cluster.security_group}: {rule}", _allow(account, group, rule))
            for rule in sorted(wanted - existing)
        ),
        *(
            Step(f"close in {cluster.security_group}: {rule}", _close(account, group, rule))
            for rule in sorted(existing - wanted)
        ),
    ]


def removal_steps(cluster: ClusterFile, account: Account) -> list[Step]:
    """Return the steps that delete the groups of this cluster."""
    return [
        Step(f"delete the security group {cluster.security_group} ({group['GroupId']})", _delete(account, group))
        for group in groups_of(cluster, account)
        if {CLUSTER_TAG: cluster.name}.items() <= tags_of(group).items()
        or {"ray-cluster-name": cluster.name}.items() <= tags_of(group).items()
    ]


def group_problems(cluster: ClusterFile, account: Account) -> list[str]:
    """Return why the group is too open or cannot be used; empty if nothing is wrong."""
    fix = f"run nowt cluster prepare {cluster.path} --ssh-from YOUR.ADDRESS/32"
    vpc = vpc_of(cluster)
    group = next((g for g in groups_of(cluster, account) if g["VpcId"] == vpc), None)
    if group is None:
        return [f"there is no {cluster.security_group} in {vpc}, and Ray would create it open to the internet: {fix}"]
    rules, itself = rules_of(group), FirewallRule("-1", -1, -1, group["GroupId"])
    if not rules:
        return [f"{cluster.security_group} has no rules, and Ray would open port 22 to the internet: {fix}"]
    wrong = [
        f"{cluster.security_group} allows {rule}: {fix}" for rule in sorted(rules - {itself}) if not _is_user_ssh(rule)
    ]
    return (
        wrong
        if itself in rules
        else [*wrong, f"{cluster.security_group} does not allow traffic between its own nodes: {fix}"]
    )


def tags_of(thing: dict[str, Any]) -> dict[str, str]:
    """Return the tags of an AWS resource."""
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}


def _is_user_ssh(rule: FirewallRule) -> bool:
    if (rule.protocol, rule.first, rule.last) != ("tcp", 22, 22) or rule.source.startswith(("sg-", "pl-")):
        return False
    return _narrow_enough(ip_network(rule.source))


def _narrow_enough(network: Network) -> bool:
    """Return whether a network is private, or a public one that is not too wide."""
    private = any(network.version == each.version and network.subnet_of(each) for each in PRIVATE)  # type: ignore[arg-type]
    return private or network.prefixlen >= MIN_PREFIX[network.version]


def _wanted(group: str, allowed: Sequence[Network]) -> set[FirewallRule]:
    return {FirewallRule("-1", -1, -1, group), *(FirewallRule("tcp", 22, 22, str(network)) for network in allowed)}


def _create(cluster: ClusterFile, account: Account, vpc: str, allowed: Sequence[Network]) -> None:
    created = account.ec2.create_security_group(
        GroupName=cluster.security_group,
        Description=f"nowt cluster {cluster.name}: itself, and ssh from its users",
        VpcId=vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": CLUSTER_TAG, "Value": cluster.name}]}],
    )
    rules = sorted(_wanted(created["GroupId"], allowed))
    permissions = [rule.permission() for rule in rules]
    account.ec2.authorize_security_group_ingress(GroupId=created["GroupId"], IpPermissions=permissions)


def _allow(account: Account, group: dict[str, Any], rule: FirewallRule) -> Any:
    change = account.ec2.authorize_security_group_ingress
    return lambda: change(GroupId=group["GroupId"], IpPermissions=[rule.permission()])


def _close(account: Account, group: dict[str, Any], rule: FirewallRule) -> Any:
    change = account.ec2.revoke_security_group_ingress
    return lambda: change(GroupId=group["GroupId"], IpPermissions=[rule.permission()])


def _delete(account: Account, group: dict[str, Any]) -> Any:
    return lambda: account.ec2.delete_security_group(GroupId=group["GroupId"])
