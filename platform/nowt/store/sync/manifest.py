"""What a copy of a store consists of: the list that is written last, and names every file by its content.

Objects are never written over, so that a copy that was cut off changes nothing of the one before: until the new list is
there, the old one holds, and all that it names.
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
    """One whole copy."""

    store: str  # id of the store that it is the copy of
    root: str  # where that store lay
    time: int  # milliseconds since 1970
    files: dict[str, str]  # path in the store: SHA-256 of what it holds
    schema: int = SCHEMA


def object_of(content: str) -> str:
    """The name of the object that holds this content."""
    return f"objects/{content}"


def read_manifest(bucket: Bucket) -> Manifest | None:
    """The last whole copy; None where there is none. Raises ValueError for a manifest of another kind."""
    data = bucket.get(NAME)
    if data is None:
        return None
    try:
        found = Manifest(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{bucket.url}/{NAME} is no copy's list ({error}): give another prefix") from None
    if found.schema > SCHEMA:
        raise ValueError(f"{bucket.url} has copy schema {found.schema}, this nowt reads up to {SCHEMA}: update nowt")
    if any(PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts for path in found.files):
        raise ValueError(f"{bucket.url}/{NAME} names files outside a store: it is not to be trusted")
    return found


def write_manifest(bucket: Bucket, manifest: Manifest) -> None:
    """Make the copy the one that holds."""
    bucket.put(NAME, json.dumps(asdict(manifest)).encode())


@dataclass(frozen=True)
class Identity:
    """Which store this is, and which one's copy it goes on with."""

    id: str
    restored: str = ""


def identity_of(store: Path) -> Identity:
    """The store's own, made at its first copy and kept in ``STORE/copy.json``."""
    path = Store(store).identity
    if not path.exists():
        write_identity(store, Identity(uuid4().hex))
    return Identity(**json.loads(path.read_text(encoding="utf-8")))


def write_identity(store: Path, identity: Identity) -> None:
    """Keep it."""
    write_atomically(Store(store).identity, json.dumps(asdict(identity)), durable=False)
