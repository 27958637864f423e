"""AWS's clients. boto3 is an optional dependency, imported here alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from nowt.cluster.cluster_file import ClusterFile

T = TypeVar("T")

MISSING = "boto3 is not installed: pip install 'nowt[aws]', or pip install boto3"


def botocore() -> Any:
    """The package botocore with the modules that are used of it. Raises ValueError where it is missing."""
    try:
        import botocore
        import botocore.exceptions
        import botocore.loaders
        import botocore.model
        import botocore.validate
    except ModuleNotFoundError:
        raise ValueError(MISSING) from None
    return botocore


@dataclass(frozen=True)
class Account:
    """The clients of one account in one region, by the credentials that boto3 finds."""

    region: str

    @cached_property
    def ec2(self) -> Any:
        """EC2's client."""
        return self._client("ec2")

    @cached_property
    def iam(self) -> Any:
        """IAM's client."""
        return self._client("iam")

    @cached_property
    def s3(self) -> Any:
        """S3's client."""
        return self._client("s3")

    @cached_property
    def ssm(self) -> Any:
        """Systems Manager's client."""
        return self._client("ssm")

    def _client(self, service: str) -> Any:
        botocore()
        import boto3

        return boto3.client(service, region_name=self.region)


def account_of(cluster: ClusterFile) -> Account:
    """The account that a file's machines are started in. Raises ValueError for another provider, or without boto3."""
    if cluster.kind != "aws":
        raise ValueError(
            f"{cluster.path} has provider {cluster.kind!r}: this is for aws, and the others need no account"
        )
    if not cluster.region:
        raise ValueError(f"{cluster.path} has no provider.region: name one, such as us-west-2")
    botocore()
    return Account(cluster.region)


def asked(act: Callable[[], T]) -> T:
    """What ``act`` gives. Raises ValueError, in one line, where AWS refuses or cannot be reached."""
    errors = botocore().exceptions
    try:
        return act()
    except (errors.ClientError, errors.BotoCoreError) as error:
        raise ValueError(f"AWS: {' '.join(str(error).split())}") from error


def found(act: Callable[[], T], *absent: str) -> T | None:
    """What ``act`` gives, or None where AWS answers with one of the codes ``absent``."""
    errors = botocore().exceptions
    try:
        return act()
    except errors.ClientError as error:
        if error.response["Error"]["Code"] in absent:
            return None
        raise
