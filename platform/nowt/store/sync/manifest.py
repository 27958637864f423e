"""The manifest of a store's backup: the list of its files by content hash. It is written last.

Objects are never overwritten. So an interrupted backup does not change the previous one, which remains valid until the
new manifest is written.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from uuid import uuid4

from nowt.store.files import write_atomically
from nowt.store.layout import Store
from nowt.store.sync.bucket import Bucket

SCHEMA = 1

NAME = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """One complete backup."""

    store: str  # id of the store
    root: str  # the path of that store
    time: int  # milliseconds since 1970
    files: dict[str, str]  # path in the store: SHA-256 of the content
    schema: int = SCHEMA


def object_name(content: str) -> str:
    """Return the name of the object that holds this content."""
    return f"objects/{content}"


def read_manifest(bucket: Bucket) -> Manifest | None:
    """Return the latest complete backup; None if there is none. Raises ValueError for an invalid manifest."""
    data = bucket.get(NAME)
    if data is None:
        return None
    try:
        found = Manifest(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{bucket.url}/{NAME} is not the manifest of a backup ({error}): give another prefix"
        ) from None
    if found.schema > SCHEMA:
        raise ValueError(
            f"{bucket.url} has backup schema {found.schema}, this version of nowt reads up to {SCHEMA}: update nowt"
        )
    if any(PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts for path in found.files):
        raise ValueError(f"{bucket.url}/{NAME} lists files outside a store: do not trust it")
    return found


def write_manifest(bucket: Bucket, manifest: Manifest) -> None:
    """Make ``manifest`` the latest backup."""
    bucket.put(NAME, json.dumps(asdict(manifest)).encode())


@dataclass(frozen=True)
class StoreIdentity:
    """The id of a store and, if it was restored, of the store whose backup it continues."""

    id: str
    restored: str = ""


def identity_of(store: Path) -> StoreIdentity:
    """Return the identity of a store, created by its first backup in ``STORE/copy.json``."""
    path = Store(store).identity
    if not path.exists():
        write_identity(store, StoreIdentity(uuid4().hex))
    return StoreIdentity(**json.loads(path.read_text(encoding="utf-8")))


def write_identity(store: Path, identity: StoreIdentity) -> None:
    """Write ``STORE/copy.json``."""
    write_atomically(Store(store).identity, json.dumps(asdict(identity)), durable=False)
