"""A folder in an S3 bucket. The endpoint and the credentials are found as every AWS tool finds them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from nowt.core.errors import ConfigError

T = TypeVar("T")

MOST_REMOVED = 1000  # objects that S3 removes in one request

CONNECT_SECONDS = 10.0  # that a machine gone silent is waited for, each of a few times


@dataclass(frozen=True)
class Bucket:
    """Objects under one prefix, by the rest of their names. Every method raises OSError where S3 says no."""

    url: str
    name: str
    prefix: str
    client: Any  # boto3's

    @classmethod
    def at(cls, url: str) -> "Bucket":
        """The folder at ``s3://BUCKET/PREFIX``. Raises ConfigError for what is none and where boto3 is missing."""
        name, _, prefix = url.removeprefix("s3://").strip("/").partition("/")
        if not url.startswith("s3://") or not name or not prefix:
            raise ConfigError(f"{url!r} is no folder in a bucket: give s3://BUCKET/PREFIX, such as s3://lab/nowt/store")
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            raise ConfigError(f"{url} needs boto3, which is not installed: pip install 'nowt[aws]'") from None
        config = Config(connect_timeout=CONNECT_SECONDS, tcp_keepalive=True)
        return cls(url, name, prefix, _asked(url, lambda: boto3.client("s3", config=config)))

    def get(self, name: str) -> bytes | None:
        """One object; None where there is none."""
        from botocore.exceptions import ClientError

        def act() -> bytes | None:
            try:
                found: bytes = self.client.get_object(**self._place(name))["Body"].read()
                return found
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code in ("NoSuchKey", "404") or (code == "AccessDenied" and name not in self.names(name)):
                    return None  # S3 may deny what is not there to whoever may list some prefixes only
                raise

        return _asked(self.url, act)

    def put(self, name: str, body: bytes | Path) -> None:
        """One object, in one request: it is there whole or not at all."""
        if isinstance(body, bytes):
            _asked(self.url, lambda: self.client.put_object(**self._place(name), Body=body))
            return
        with body.open("rb") as file:
            _asked(self.url, lambda: self.client.put_object(**self._place(name), Body=file))

    def names(self, under: str) -> list[str]:
        """Every object whose name begins so."""

        def act() -> list[str]:
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=f"{self.prefix}/{under}"
            )
            keys = (found["Key"] for page in pages for found in page.get("Contents", ()))
            return [key.removeprefix(f"{self.prefix}/") for key in keys]

        return _asked(self.url, act)

    def remove(self, names: Iterable[str]) -> None:
        """Delete these objects."""
        objects = [{"Key": f"{self.prefix}/{name}"} for name in names]
        for first in range(0, len(objects), MOST_REMOVED):
            _asked(self.url, partial(self._remove, objects[first : first + MOST_REMOVED]))

    def _remove(self, objects: list[dict[str, str]]) -> None:
        answer = self.client.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
        for refused in answer.get("Errors", ()):  # S3 answers so with 200, object by object
            raise OSError(f"{self.url} cannot be used: {refused.get('Key')} was not removed ({refused.get('Code')})")

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self.name, "Key": f"{self.prefix}/{name}"}


def _asked(url: str, act: Callable[[], T]) -> T:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return act()
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"{url} cannot be used: {str(error).partition(chr(10))[0]}") from None
