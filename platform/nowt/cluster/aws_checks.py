"""What neither Ray's validator nor botocore's model finds in a cluster.yaml for AWS."""

import json
from collections.abc import Iterator
from typing import Any

from nowt.cluster.cluster_file import ClusterFile, mapping

EXAMPLE = "nowt-example"

MARKETS = ("spot", "capacity-block")

EVERYONE = ("0.0.0.0/0", "::/0")


def _account(cluster: ClusterFile) -> Iterator[str]:
    if not cluster.region:
        yield "provider.region is missing: name the region that your bucket is in, such as us-west-2"
    if not cluster.group:
        yield "provider.security_group.GroupName is missing: Ray would make a group that opens port 22 to the world"
    if not cluster.key_pair:
        yield "provider.key_pair.key_name is missing: Ray copies the key to the head, name one of this cluster's"
    if cluster.provider.get("cache_stopped_nodes", True):
        yield "provider.cache_stopped_nodes must be False: `ray down` would stop machines, whose disks cost on"
    if any(everyone in json.dumps(cluster.provider) for everyone in EVERYONE):
        yield "provider opens a port to 0.0.0.0/0: leave rules out, `nowt cluster prepare --ssh-from` makes them"


def _bucket(cluster: ClusterFile) -> Iterator[str]:
    if len(cluster.buckets) != 1:
        yield f"the set-up commands name {len(cluster.buckets)} buckets: name one s3://BUCKET, which workers may use"
    if cluster.buckets == [EXAMPLE]:
        yield f"the bucket is still the example's, s3://{EXAMPLE}: write your own (the line marked EDIT)"


def _machines(cluster: ClusterFile) -> Iterator[str]:
    for kind in cluster.types:
        node = cluster.node_config(kind)
        yield from (f"node type {kind}: {problem}" for problem in _machine(node))
        if kind != cluster.head_type:
            yield from (f"node type {kind}: {problem}" for problem in _spot(node))
    head = cluster.node_config(cluster.head_type)
    if "InstanceMarketOptions" in head:
        yield f"node type {cluster.head_type} is the head's: leave InstanceMarketOptions out, it must not vanish"
    workers = {cluster.profile(kind) for kind in cluster.types if kind != cluster.head_type}
    if cluster.profile(cluster.head_type) in workers - {""}:
        yield "head and workers share an instance profile: a worker could then start machines, give it its own"


def _machine(node: dict[str, Any]) -> Iterator[str]:
    if not mapping(node.get("IamInstanceProfile")).get("Name"):
        yield "IamInstanceProfile.Name is missing: name one, which `nowt cluster prepare` makes"
    if mapping(node.get("MetadataOptions")).get("HttpTokens") != "required":
        yield "MetadataOptions.HttpTokens must be required: else a forged request gets the machine's credentials"
    for key in ("SecurityGroupIds", "SecurityGroups", "NetworkInterfaces"):
        if key in node:
            yield f"leave {key} out: provider.security_group names the one group that is checked"
    disks = [mapping(mapping(disk).get("Ebs")) for disk in node.get("BlockDeviceMappings") or []]
    if not disks:
        yield "BlockDeviceMappings is missing: name the root disk, so that it is encrypted and ends with its machine"
    if not all(disk.get("DeleteOnTermination") is True for disk in disks):
        yield "every disk needs Ebs.DeleteOnTermination: True, or it costs on after its machine"
    if not all(disk.get("Encrypted") is True for disk in disks):
        yield "every disk needs Ebs.Encrypted: True"


def _spot(node: dict[str, Any]) -> Iterator[str]:
    options = mapping(node.get("InstanceMarketOptions"))
    if not options:
        return  # a worker on demand is a choice
    market = options.get("MarketType")
    if market not in MARKETS:
        yield f"InstanceMarketOptions.MarketType is {market!r}: it must be {' or '.join(MARKETS)}"
    price = mapping(options.get("SpotOptions")).get("MaxPrice")
    if market == "spot" and not _is_price(price):
        yield f'SpotOptions.MaxPrice is {price!r}: write the most an hour may cost, in USD and as text, such as "0.80"'


def _is_price(text: Any) -> bool:
    try:
        return isinstance(text, str) and float(text) > 0
    except ValueError:
        return False


AWS_CHECKS = (_account, _bucket, _machines)
