"""A substitute for the AWS CLI with the three commands that node.sh uses. It needs boto3 only."""

import fnmatch
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3


def main(argv: list[str]) -> None:
    """``aws s3 sync --exclude PATTERN s3://BUCKET/FOLDER TARGET``, ``aws s3 ls s3://BUCKET/FOLDER/``, and
    ``aws s3 cp s3://BUCKET/KEY -``, each with ``--only-show-errors`` or without."""
    match [word for word in argv if word != "--only-show-errors"]:
        case ["s3", "sync", "--exclude", pattern, source, target]:
            for key in keys(source + "/"):
                if not fnmatch.fnmatch(key.name, pattern):
                    path = Path(target) / key.relative_to(split_url(source)[1])
                    path.parent.mkdir(parents=True, exist_ok=True)
                    client().download_file(split_url(source)[0], str(key), str(path))
        case ["s3", "ls", source]:
            for key in keys(source):
                print(f"2026-01-01 00:00:00 1 {key.name}")
        case ["s3", "cp", source, "-"]:
            client().download_fileobj(*split_url(source), sys.stdout.buffer)
        case _:
            raise SystemExit(f"this substitute for the AWS CLI does not support: {argv}")


def client() -> Any:
    """An S3 client with the settings in ~/.aws."""
    return boto3.client("s3")


def split_url(text: str) -> tuple[str, str]:
    """Split s3://BUCKET/KEY into bucket and key."""
    bucket, _, key = text.removeprefix("s3://").partition("/")
    return bucket, key


def keys(source: str) -> Iterator[Path]:
    """Every key with the prefix ``source``."""
    bucket, prefix = split_url(source)
    for entry in client().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
        yield Path(entry["Key"])


if __name__ == "__main__":
    main(sys.argv[1:])
