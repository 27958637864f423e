"""The cluster's security group: all from itself, port 22 from those whom the user names, nothing else.

Ray adds port 22 from anywhere to a group that it fills itself, and leaves one that has rules as it is. So the group is
made before Ray looks for it, under the name that the file gives, in the network that Ray will pick.
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
from nowt.cluster.validators import hushed

Network = IPv4Network | IPv6Network

OURS = "nowt-cluster"  # the tag of what prepare makes; its value is the cluster's name

WIDEST = {4: 16, 6: 32}  # bits of a public network that may still be called the user's own: a university's

PRIVATE = [ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")]


@dataclass(frozen=True, order=True)
class FirewallRule:
    """One way in: protocol (-1: all), ports, and from where: a network, or a group's id."""

    protocol: str
    first: int
    last: int
    source: str

    def __str__(self) -> str:
        ports = "all ports" if self.protocol == "-1" else f"{self.protocol} {self.first}"
        return f"{ports}{f'-{self.last}' if self.last != self.first else ''} from {self.source}"

    def permission(self) -> dict[str, Any]:
        """The rule as EC2 takes it."""
        ports = {} if self.protocol == "-1" else {"FromPort": self.first, "ToPort": self.last}
        if self.source.startswith("sg-"):
            return {"IpProtocol": self.protocol, **ports, "UserIdGroupPairs": [{"GroupId": self.source}]}
        if self.source.startswith("pl-"):
            return {"IpProtocol": self.protocol, **ports, "PrefixListIds": [{"PrefixListId": self.source}]}
        if ":" in self.source:
            return {"IpProtocol": self.protocol, **ports, "Ipv6Ranges": [{"CidrIpv6": self.source}]}
        return {"IpProtocol": self.protocol, **ports, "IpRanges": [{"CidrIp": self.source}]}


def networks(text: str) -> list[Network]:
    """The networks that ``--ssh-from`` names, with commas between. Raises ValueError for none, or one too wide."""
    found = []
    for word in text.split(","):
        try:
            network = ip_network(word.strip())
        except ValueError as error:
            raise ValueError(f"--ssh-from is {word.strip()!r}: {error}; your own address is ADDRESS/32") from None
        if not _own(network):
            raise ValueError(f"--ssh-from is {network}: that is too many others; give your own address, ADDRESS/32")
        found.append(network)
    return found


def network_of(cluster: ClusterFile, account: Account) -> str:
    """The id of the VPC in which Ray will start the machines, found by Ray's own code. Raises ValueError for none."""
    import click

    try:
        with hushed():
            found = find_vpcs(copy.deepcopy(cluster.given))
    except (click.ClickException, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it names none"
        raise ValueError(f"Ray finds no public subnet in {account.region} for this file: {reason}") from None
    if len(found) > 1:
        raise ValueError(f"the node types lie in {len(found)} networks: give all the same SubnetIds")
    return found.pop()


def groups_of(cluster: ClusterFile, account: Account) -> list[dict[str, Any]]:
    """The groups of the file's name, in whatever network."""
    named = {"Name": "group-name", "Values": [cluster.group]}
    found: list[dict[str, Any]] = account.ec2.describe_security_groups(Filters=[named])["SecurityGroups"]
    return found


def rules_of(group: dict[str, Any]) -> set[FirewallRule]:
    """The ways in, one source each."""
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
    """What is to do until the group holds exactly its rules; empty where it does."""
    vpc = network_of(cluster, account)
    group = next((g for g in groups_of(cluster, account) if g["VpcId"] == vpc), None)
    if group is None:
        sources = ", ".join(str(network) for network in allowed)
        text = f"make the security group {cluster.group} in {vpc}: all from itself, port 22 from {sources}"
        return [Step(text, lambda: _make(cluster, account, vpc, allowed))]
    there, wanted = rules_of(group), _wanted(group["GroupId"], allowed)
    return [
        *(Step(f"allow in {cluster.group}: {rule}", _allow(account, group, rule)) for rule in sorted(wanted - there)),
        *(Step(f"close in {cluster.group}: {rule}", _close(account, group, rule)) for rule in sorted(there - wanted)),
    ]


def removal(cluster: ClusterFile, account: Account) -> list[Step]:
    """What is to do until no group of this cluster is left."""
    return [
        Step(f"delete the security group {cluster.group} ({group['GroupId']})", _delete(account, group))
        for group in groups_of(cluster, account)
        if {OURS: cluster.name}.items() <= tags_of(group).items()
        or {"ray-cluster-name": cluster.name}.items() <= tags_of(group).items()
    ]


def group_problems(cluster: ClusterFile, account: Account) -> list[str]:
    """Why the group is not closed, or cannot be used; empty where all is well."""
    again = f"nowt cluster prepare {cluster.path} --ssh-from YOUR.ADDRESS/32"
    vpc = network_of(cluster, account)
    group = next((g for g in groups_of(cluster, account) if g["VpcId"] == vpc), None)
    if group is None:
        return [f"there is no {cluster.group} in {vpc}, and Ray would make it open to the world: {again}"]
    rules, itself = rules_of(group), FirewallRule("-1", -1, -1, group["GroupId"])
    if not rules:
        return [f"{cluster.group} has no rules, and Ray would open port 22 to the world: {again}"]
    wrong = [f"{cluster.group} lets in {rule}: {again}" for rule in sorted(rules - {itself}) if not _narrow(rule)]
    return wrong if itself in rules else [*wrong, f"{cluster.group} does not let its own nodes talk: {again}"]


def tags_of(thing: dict[str, Any]) -> dict[str, str]:
    """The tags of anything that AWS describes."""
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}


def _narrow(rule: FirewallRule) -> bool:
    if (rule.protocol, rule.first, rule.last) != ("tcp", 22, 22) or rule.source.startswith(("sg-", "pl-")):
        return False
    return _own(ip_network(rule.source))


def _own(network: Network) -> bool:
    """Whether a network may be called the user's own: a private one, or a public one that is not too wide."""
    private = any(network.version == each.version and network.subnet_of(each) for each in PRIVATE)  # type: ignore[arg-type]
    return private or network.prefixlen >= WIDEST[network.version]


def _wanted(group: str, allowed: Sequence[Network]) -> set[FirewallRule]:
    return {FirewallRule("-1", -1, -1, group), *(FirewallRule("tcp", 22, 22, str(network)) for network in allowed)}


def _make(cluster: ClusterFile, account: Account, vpc: str, allowed: Sequence[Network]) -> None:
    made = account.ec2.create_security_group(
        GroupName=cluster.group,
        Description=f"nowt cluster {cluster.name}: itself, and ssh from its users",
        VpcId=vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": OURS, "Value": cluster.name}]}],
    )
    rules = sorted(_wanted(made["GroupId"], allowed))
    permissions = [rule.permission() for rule in rules]
    account.ec2.authorize_security_group_ingress(GroupId=made["GroupId"], IpPermissions=permissions)


def _allow(account: Account, group: dict[str, Any], rule: FirewallRule) -> Any:
    change = account.ec2.authorize_security_group_ingress
    return lambda: change(GroupId=group["GroupId"], IpPermissions=[rule.permission()])


def _close(account: Account, group: dict[str, Any], rule: FirewallRule) -> Any:
    change = account.ec2.revoke_security_group_ingress
    return lambda: change(GroupId=group["GroupId"], IpPermissions=[rule.permission()])


def _delete(account: Account, group: dict[str, Any]) -> Any:
    return lambda: account.ec2.delete_security_group(GroupId=group["GroupId"])
