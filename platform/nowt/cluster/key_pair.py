"""The cluster's own key pair: the public half at EC2, the private one in ~/.ssh, where Ray looks for it by its name."""

from pathlib import Path

from nowt.cluster.aws import Account, found
from nowt.cluster.cluster_file import ClusterFile
from nowt.cluster.ray_token import closing, write_secret
from nowt.cluster.security_group import OURS
from nowt.cluster.steps import Step


def private_half(cluster: ClusterFile) -> Path:
    """Where Ray looks for the private key."""
    return Path.home() / ".ssh" / f"{cluster.key_pair}.pem"


def key_steps(cluster: ClusterFile, account: Account) -> list[Step]:
    """What is to do until both halves are there. Raises ValueError where only one is, which nothing here can mend."""
    path, at_aws = private_half(cluster), _at_aws(cluster, account)
    if at_aws and path.exists():
        return closing(path)
    if at_aws:
        raise ValueError(
            f"AWS has the key pair {cluster.key_pair}, but {path} is not here: copy it from where it was made, or name "
            "another in provider.key_pair"
        )
    if path.exists():
        raise ValueError(f"{path} is here, but AWS has no key pair {cluster.key_pair} for it: move the file away")
    return [
        Step(f"make the key pair {cluster.key_pair}, its private half {path} (0600)", lambda: _make(cluster, account))
    ]


def removal(cluster: ClusterFile, account: Account) -> list[Step]:
    """What is to do until neither half is left; none for a key pair that ``prepare`` found and did not make."""
    if _maker(cluster, account) != cluster.name:
        return []
    path = private_half(cluster)
    return [
        Step(
            f"delete the key pair {cluster.key_pair}",
            lambda: account.ec2.delete_key_pair(KeyName=cluster.key_pair),
        ),
        *([Step(f"delete {path}", path.unlink)] if path.exists() else []),
    ]


def _at_aws(cluster: ClusterFile, account: Account) -> bool:
    return _maker(cluster, account) is not None


def _maker(cluster: ClusterFile, account: Account) -> str | None:
    """The cluster that the key pair was made for, as its tag says: empty without one, None where there is no pair."""
    names = [cluster.key_pair]
    pairs = found(lambda: account.ec2.describe_key_pairs(KeyNames=names), "InvalidKeyPair.NotFound")
    if pairs is None:
        return None
    return next((str(tag["Value"]) for tag in pairs["KeyPairs"][0].get("Tags", []) if tag["Key"] == OURS), "")


def _make(cluster: ClusterFile, account: Account) -> None:
    tags = [{"ResourceType": "key-pair", "Tags": [{"Key": OURS, "Value": cluster.name}]}]
    made = account.ec2.create_key_pair(KeyName=cluster.key_pair, TagSpecifications=tags)
    write_secret(private_half(cluster), made["KeyMaterial"])
