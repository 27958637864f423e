"""``nowt cluster prepare``: makes what a cluster.yaml names before ``ray up``; again to change who may reach 22."""

from collections.abc import Callable

from nowt.cluster.aws import Account, account_of, asked, found
from nowt.cluster.checks import problems_of
from nowt.cluster.file import ClusterFile
from nowt.cluster.group import Network, group_steps, networks
from nowt.cluster.key import key_steps
from nowt.cluster.role import role_steps
from nowt.cluster.secret import token_steps
from nowt.cluster.step import Step, carry_out

SSM = "resolve:ssm:"


def prepare(cluster: ClusterFile, ssh_from: str, yes: bool, say: Callable[[str], None]) -> int:
    """Make what is missing of security group, key pair, roles and token; the exit code.

    Raises ValueError for a file or account that cannot work, before anything is made.
    """
    allowed, account = networks(ssh_from), account_of(cluster)
    if problems := problems_of(cluster):
        raise ValueError(f"{cluster.path}: {problems[0]} (nowt doctor --cluster {cluster.path} lists all)")
    for line in asked(lambda: _seen(cluster, account)):
        say(line)
    steps = [*token_steps(), *asked(lambda: _steps(cluster, account, allowed))]
    if not steps:
        say(f"all that {cluster.path} names is there: ray up {cluster.path}")
        return 0
    if not asked(lambda: carry_out(steps, yes, say)):
        return 1
    say(f"Next, in a quarter of a minute (new roles take as long to reach EC2): ray up {cluster.path}")
    return 0


def _steps(cluster: ClusterFile, account: Account, allowed: list[Network]) -> list[Step]:
    return [*group_steps(cluster, account, allowed), *key_steps(cluster, account), *role_steps(cluster, account)]


def _seen(cluster: ClusterFile, account: Account) -> list[str]:
    """The bucket and the images, of which nothing is made. Raises ValueError where one is missing."""
    bucket = cluster.buckets[0]
    if found(lambda: account.s3.head_bucket(Bucket=bucket), "404", "NoSuchBucket") is None:
        raise ValueError(f"there is no bucket {bucket}: aws s3 mb s3://{bucket} --region {account.region}")
    images = {str(cluster.node_config(kind).get("ImageId", "")) for kind in cluster.types}
    return [f"bucket: s3://{bucket}", *(_image(account, image) for image in sorted(images))]


def _image(account: Account, image: str) -> str:
    if not image.startswith(SSM):
        return f"image: {image or 'the one that Ray chooses'}"
    name = image.removeprefix(SSM)
    answer = found(lambda: account.ssm.get_parameter(Name=name), "ParameterNotFound")
    if answer is None:
        raise ValueError(f"AWS offers no image {name} in {account.region}: name another as ImageId")
    return f"image: {answer['Parameter']['Value']} (write it as ImageId to keep this very one, driver included)"
