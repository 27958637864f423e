"""AWS clients. boto3 is an optional dependency; within ``nowt.cluster``, only this module imports it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from nowt.cluster.cluster_file import ClusterFile
from nowt.core.errors import UserError

T = TypeVar("T")

BOTO3_MISSING = "boto3 is not installed: pip install boto3"


def botocore() -> Any:
    """Return botocore with the modules that are used. Raises ValueError if it is not installed."""
    try:
        import botocore
        import botocore.exceptions
        import botocore.loaders
        import botocore.model
        import botocore.validate
    except ModuleNotFoundError:
        raise UserError(BOTO3_MISSING) from None
    return botocore


@dataclass(frozen=True)
class Account:
    """The clients of one account in one region, with the credentials that boto3 finds."""

    region: str

    @cached_property
    def ec2(self) -> Any:
        """The EC2 client."""
        return self._client("ec2")

    @cached_property
    def iam(self) -> Any:
        """The IAM client."""
        return self._client("iam")

    @cached_property
    def s3(self) -> Any:
        """The S3 client."""
        return self._client("s3")

    @cached_property
    def ssm(self) -> Any:
        """The Systems Manager client."""
        return self._client("ssm")

    def _client(self, service: str) -> Any:
        botocore()
        import boto3

        return boto3.client(service, region_name=self.region)


def account_of(cluster: ClusterFile) -> Account:
    """Return the account of the machines. Raises ValueError for another provider, or without boto3."""
    if cluster.provider_type != "aws":
        raise UserError(f"{cluster.path} has provider {cluster.provider_type!r}: this command is only for aws")
    if not cluster.region:
        raise UserError(f"{cluster.path} has no provider.region: set it, for example to us-west-2")
    botocore()
    return Account(cluster.region)


def call_aws(request: Callable[[], T]) -> T:
    """Return the result of ``request``. Raises ValueError, in one line, if AWS refuses or cannot be reached."""
    errors = botocore().exceptions
    try:
        return request()
    except (errors.ClientError, errors.BotoCoreError) as error:
        raise UserError(f"AWS: {' '.join(str(error).split())}") from error


def get_or_none(request: Callable[[], T], *missing_codes: str) -> T | None:
    """Return the result of ``request``, or None if AWS answers with one of ``missing_codes``."""
    errors = botocore().exceptions
    try:
        return request()
    except errors.ClientError as error:
        if error.response["Error"]["Code"] in missing_codes:
            return None
        raise
