"""The three commands of AWS's own tool that node.sh gives, on a machine that has boto3 in its place."""

import fnmatch
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3


def main(words: list[str]) -> None:
    """``aws s3 sync --exclude PATTERN s3://BUCKET/FOLDER PLACE``, ``aws s3 ls s3://BUCKET/FOLDER/``, and
    ``aws s3 cp s3://BUCKET/KEY -``, each with ``--only-show-errors`` or without."""
    match [word for word in words if word != "--only-show-errors"]:
        case ["s3", "sync", "--exclude", pattern, source, place]:
            for key in keys(source + "/"):
                if not fnmatch.fnmatch(key.name, pattern):
                    path = Path(place) / key.relative_to(address(source)[1])
                    path.parent.mkdir(parents=True, exist_ok=True)
                    client().download_file(address(source)[0], str(key), str(path))
        case ["s3", "ls", source]:
            for key in keys(source):
                print(f"2026-01-01 00:00:00 1 {key.name}")
        case ["s3", "cp", source, "-"]:
            client().download_fileobj(*address(source), sys.stdout.buffer)
        case _:
            raise SystemExit(f"not among those that this one knows: {words}")


def client() -> Any:
    """S3's, by ~/.aws."""
    return boto3.client("s3")


def address(text: str) -> tuple[str, str]:
    """Bucket and key of s3://BUCKET/KEY."""
    bucket, _, key = text.removeprefix("s3://").partition("/")
    return bucket, key


def keys(source: str) -> Iterator[Path]:
    """Every key that begins as ``source`` does."""
    bucket, prefix = address(source)
    for entry in client().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
        yield Path(entry["Key"])


if __name__ == "__main__":
    main(sys.argv[1:])
