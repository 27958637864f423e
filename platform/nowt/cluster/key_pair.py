"""The key pair of the cluster: the public key at EC2, the private key in ~/.ssh, where Ray looks for it by name."""

from pathlib import Path

from nowt.cluster.aws import Account, get_or_none
from nowt.cluster.cluster_file import ClusterFile
from nowt.cluster.ray_token import restrict_steps, write_secret
from nowt.cluster.security_group import CLUSTER_TAG
from nowt.cluster.steps import Step
from nowt.core.errors import UserError


def private_key_path(cluster: ClusterFile) -> Path:
    """Return where Ray looks for the private key."""
    return Path.home() / ".ssh" / f"{cluster.key_pair}.pem"


def key_steps(cluster: ClusterFile, account: Account) -> list[Step]:
    """Return the steps that create the missing keys. Raises ValueError if only one of them does."""
    path, at_aws = private_key_path(cluster), _exists_at_aws(cluster, account)
    if at_aws and path.exists():
        return restrict_steps(path)
    if at_aws:
        raise UserError(
            f"AWS has the key pair {cluster.key_pair}, but {path} does not exist: copy it from where it was created, "
            "or name another key pair in provider.key_pair"
        )
    if path.exists():
        raise UserError(f"{path} exists, but AWS has no key pair {cluster.key_pair}: move the file away")
    return [
        Step(
            f"create the key pair {cluster.key_pair}, with its private key {path} (0600)",
            lambda: _create(cluster, account),
        )
    ]


def removal_steps(cluster: ClusterFile, account: Account) -> list[Step]:
    """Return the steps that delete both keys; none for a key pair that ``prepare`` did not create."""
    if _owner(cluster, account) != cluster.name:
        return []
    path = private_key_path(cluster)
    return [
        Step(
            f"delete the key pair {cluster.key_pair}",
            lambda: account.ec2.delete_key_pair(KeyName=cluster.key_pair),
        ),
        *([Step(f"delete {path}", path.unlink)] if path.exists() else []),
    ]


def _exists_at_aws(cluster: ClusterFile, account: Account) -> bool:
    return _owner(cluster, account) is not None


def _owner(cluster: ClusterFile, account: Account) -> str | None:
    """Return the cluster named by the key pair's tag: empty without a tag, None if there is no key pair."""
    names = [cluster.key_pair]
    pairs = get_or_none(lambda: account.ec2.describe_key_pairs(KeyNames=names), "InvalidKeyPair.NotFound")
    if pairs is None:
        return None
    return next((str(tag["Value"]) for tag in pairs["KeyPairs"][0].get("Tags", []) if tag["Key"] == CLUSTER_TAG), "")


def _create(cluster: ClusterFile, account: Account) -> None:
    tags = [{"ResourceType": "key-pair", "Tags": [{"Key": CLUSTER_TAG, "Value": cluster.name}]}]
    created = account.ec2.create_key_pair(KeyName=cluster.key_pair, TagSpecifications=tags)
    write_secret(private_key_path(cluster), created["KeyMaterial"])
