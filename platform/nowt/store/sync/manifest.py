"""The manifest of a store's backup: the list of its files by content hash. It is written last.

Objects are never overwritten. So an interrupted backup does not change the previous one, which remains valid until the
new manifest is written.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from nowt.core.errors import ConfigError, UserError
from nowt.store.files import write_atomically
from nowt.store.json_types import INTEGER, LINE, TEXT, Table, check_object, known_fields, values
from nowt.store.jsonl import parse_line
from nowt.store.layout import Store
from nowt.store.names import REBUILT, RESTORED, SERVER
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


TYPES: Table = {"store": LINE, "root": LINE, "time": INTEGER, "files": values(TEXT), "schema": INTEGER}

IDENTITY_TYPES: Table = {"id": LINE, "restored": LINE}


def object_name(content: str) -> str:
    """Return the name of the object that holds this content."""
    return f"objects/{content}"


def read_manifest(bucket: Bucket) -> Manifest | None:
    """Return the latest complete backup; None if there is none. Raises ValueError for an invalid manifest."""
    data = bucket.get(NAME)
    if data is None:
        return None
    try:
        content = parse_line(data)
        check_object(content, {"schema": INTEGER})
        if (schema := content.get("schema", SCHEMA)) <= SCHEMA:
            found = Manifest(**known_fields(content, TYPES, TYPES.keys() - {"schema"}))
    except ValueError as error:
        raise UserError(f"{bucket.url}/{NAME} is not the manifest of a backup ({error}): give another prefix") from None
    if schema > SCHEMA:
        raise UserError(
            f"{bucket.url} has backup schema {schema}, this version of nowt reads up to {SCHEMA}: update nowt"
        )
    _check_names(bucket, found)
    return found


def _check_names(bucket: Bucket, found: Manifest) -> None:
    """Raise ConfigError unless the manifest lists only files and hashes that a backup has."""
    for path, content in found.files.items():
        known = RESTORED.matches(path) or SERVER.matches(path) or REBUILT.matches(path)
        if not known or not re.fullmatch("[0-9a-f]{64}", content):
            raise ConfigError(
                f"{bucket.url}/{NAME} lists {path!r}, which is not a file of a backup. Nothing was restored: somebody "
                "else may have written to this bucket; give another prefix"
            )


def write_manifest(bucket: Bucket, manifest: Manifest) -> None:
    """Make ``manifest`` the latest backup."""
    bucket.put(NAME, json.dumps(asdict(manifest), allow_nan=False).encode())


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
    try:
        return StoreIdentity(**known_fields(parse_line(path.read_bytes()), IDENTITY_TYPES, ("id",)))
    except ValueError as error:
        raise UserError(
            f"{path} is not the identity of a store ({error}): restore it from a copy, or delete it and give nowt "
            "backup a new prefix"
        ) from None


def write_identity(store: Path, identity: StoreIdentity) -> None:
    """Write ``STORE/copy.json``."""
    write_atomically(Store(store).identity, json.dumps(asdict(identity), allow_nan=False), durable=True)
