"""A folder in an S3 bucket. Endpoint and credentials are found as the AWS command-line tools find them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from nowt.core.errors import AccessError, ConfigError

T = TypeVar("T")

DELETE_LIMIT = 1000  # objects that S3 deletes in one request

LARGEST_OBJECT = 5 * 2**30  # bytes; S3 accepts no more in one request

CONNECT_SECONDS = 10.0  # timeout of each of a few attempts to connect


@dataclass(frozen=True)
class Bucket:
    """Objects under one prefix, by the rest of their names. Every method raises OSError if S3 refuses."""

    url: str
    name: str
    prefix: str
    client: Any  # boto3's

    @classmethod
    def from_url(cls, url: str) -> "Bucket":
        """Return the folder at ``s3://BUCKET/PREFIX``. Raises ConfigError for another URL, and if boto3 is not
        installed."""
        name, _, prefix = url.removeprefix("s3://").strip("/").partition("/")
        if not url.startswith("s3://") or not name or not prefix:
            raise ConfigError(
                f"{url!r} is not a folder in a bucket: give s3://BUCKET/PREFIX, such as s3://lab/nowt/store"
            )
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            raise ConfigError(f"{url} needs boto3, which is not installed: pip install boto3") from None
        config = Config(connect_timeout=CONNECT_SECONDS, tcp_keepalive=True)
        return cls(url, name, prefix, _request(url, lambda: boto3.client("s3", config=config)))

    def get(self, name: str) -> bytes | None:
        """Return one object; None if it does not exist."""
        from botocore.exceptions import ClientError

        def call() -> bytes | None:
            try:
                reply = self.client.get_object(**self._place(name))
                if reply.get("ContentLength", 0) > LARGEST_OBJECT:
                    raise AccessError(f"{self.url} cannot be used: {name} is larger than any object that nowt writes")
                found: bytes = reply["Body"].read()
                return found
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code in ("NoSuchKey", "404") or (code == "AccessDenied" and name not in self.names(name)):
                    return None  # S3 denies access to missing objects if only some prefixes may be listed
                raise

        return _request(self.url, call)

    def put(self, name: str, body: bytes | Path) -> None:
        """Write one object in one request, so that it exists completely or not at all."""
        if isinstance(body, bytes):
            _request(self.url, lambda: self.client.put_object(**self._place(name), Body=body))
            return
        with body.open("rb") as file:
            _request(self.url, lambda: self.client.put_object(**self._place(name), Body=file))

    def names(self, under: str) -> list[str]:
        """Return the names of all objects that begin with ``under``."""

        def call() -> list[str]:
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=f"{self.prefix}/{under}"
            )
            keys = (found["Key"] for page in pages for found in page.get("Contents", ()))
            return [key.removeprefix(f"{self.prefix}/") for key in keys]

        return _request(self.url, call)

    def remove(self, names: Iterable[str]) -> None:
        """Delete these objects."""
        objects = [{"Key": f"{self.prefix}/{name}"} for name in names]
        for first in range(0, len(objects), DELETE_LIMIT):
            _request(self.url, partial(self._remove, objects[first : first + DELETE_LIMIT]))

    def _remove(self, objects: list[dict[str, str]]) -> None:
        answer = self.client.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
        for refused in answer.get("Errors", ()):  # S3 reports these with status 200
            raise AccessError(
                f"{self.url} cannot be used: {refused.get('Key')} was not removed ({refused.get('Code')})"
            )

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self.name, "Key": f"{self.prefix}/{name}"}


def _request(url: str, call: Callable[[], T]) -> T:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except (BotoCoreError, ClientError) as error:
        raise AccessError(f"{url} cannot be used: {str(error).partition(chr(10))[0]}") from None
