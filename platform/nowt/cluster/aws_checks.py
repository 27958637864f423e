"""Checks of a cluster.yaml for AWS that neither Ray's validator nor botocore's model makes."""

import json
from collections.abc import Iterator
from typing import Any

from nowt.cluster.cluster_file import ClusterFile, mapping

EXAMPLE_BUCKET = "nowt-example"

MARKETS = ("spot", "capacity-block")

ANYWHERE = ("0.0.0.0/0", "::/0")


def _account(cluster: ClusterFile) -> Iterator[str]:
    if not cluster.region:
        yield "provider.region is missing: set it to the region of your bucket, such as us-west-2"
    if not cluster.security_group:
        yield "provider.security_group.GroupName is missing: Ray would open port 22 to the internet"
    if not cluster.key_pair:
        yield "provider.key_pair.key_name is missing: name one for this cluster only; Ray copies its key to the head"
    if cluster.provider.get("cache_stopped_nodes", True):
        yield "provider.cache_stopped_nodes must be False: `ray down` keeps stopped machines, whose disks cost money"
    if any(network in json.dumps(cluster.provider) for network in ANYWHERE):
        yield "provider opens a port to 0.0.0.0/0: remove the rules; `nowt cluster prepare --ssh-from` creates them"


def _bucket(cluster: ClusterFile) -> Iterator[str]:
    if len(cluster.buckets) != 1:
        yield f"the setup commands name {len(cluster.buckets)} buckets: name exactly one, s3://BUCKET"
    if cluster.buckets == [EXAMPLE_BUCKET]:
        yield f"the bucket is still the example, s3://{EXAMPLE_BUCKET}: replace it with yours (in the line marked EDIT)"


def _machines(cluster: ClusterFile) -> Iterator[str]:
    for kind in cluster.node_types:
        node = cluster.node_config(kind)
        yield from (f"node type {kind}: {problem}" for problem in _machine(node))
        if kind != cluster.head_type:
            yield from (f"node type {kind}: {problem}" for problem in _spot(node))
    head = cluster.node_config(cluster.head_type)
    if "InstanceMarketOptions" in head:
        yield f"node type {cluster.head_type} is the head, which must not be interrupted: remove InstanceMarketOptions"
    workers = {cluster.instance_profile(kind) for kind in cluster.node_types if kind != cluster.head_type}
    if cluster.instance_profile(cluster.head_type) in workers - {""}:
        yield "head and workers share an instance profile: give workers their own, or a worker could start machines"


def _machine(node: dict[str, Any]) -> Iterator[str]:
    if not mapping(node.get("IamInstanceProfile")).get("Name"):
        yield "IamInstanceProfile.Name is missing: choose a name; `nowt cluster prepare` creates the profile"
    if mapping(node.get("MetadataOptions")).get("HttpTokens") != "required":
        yield "MetadataOptions.HttpTokens must be required, or a forged request gets the machine's credentials"
    for key in ("SecurityGroupIds", "SecurityGroups", "NetworkInterfaces"):
        if key in node:
            yield f"remove {key}: provider.security_group names the only group that is checked"
    disks = [mapping(mapping(disk).get("Ebs")) for disk in node.get("BlockDeviceMappings") or []]
    if not disks:
        yield "BlockDeviceMappings is missing: list the root disk, to encrypt it and delete it with its machine"
    if not all(disk.get("DeleteOnTermination") is True for disk in disks):
        yield "every disk needs Ebs.DeleteOnTermination: True; otherwise it keeps costing money after its machine"
    if not all(disk.get("Encrypted") is True for disk in disks):
        yield "every disk needs Ebs.Encrypted: True"


def _spot(node: dict[str, Any]) -> Iterator[str]:
    options = mapping(node.get("InstanceMarketOptions"))
    if not options:
        return  # an on-demand worker is allowed
    market = options.get("MarketType")
    if market not in MARKETS:
        yield f"InstanceMarketOptions.MarketType is {market!r}: it must be {' or '.join(MARKETS)}"
    price = mapping(options.get("SpotOptions")).get("MaxPrice")
    if market == "spot" and not _is_price(price):
        yield f'SpotOptions.MaxPrice is {price!r}: set the maximum hourly price in USD as text, such as "0.80"'


def _is_price(text: Any) -> bool:
    try:
        return isinstance(text, str) and float(text) > 0
    except ValueError:
        return False


AWS_CHECKS = (_account, _bucket, _machines)
