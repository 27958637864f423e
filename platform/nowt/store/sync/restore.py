"""``nowt restore``: restores a store from its backup in a bucket, or merges the backup into a store with other runs."""

import hashlib
import shutil
from pathlib import Path
from uuid import uuid4

from nowt.core.errors import ConfigError, Echo
from nowt.core.formatting import counted
from nowt.store.existing import PARTS, is_store
from nowt.store.files import move_new, private_folder, write_atomically
from nowt.store.layout import Store
from nowt.store.locks import process_lock
from nowt.store.sync.bucket import Bucket
from nowt.store.sync.manifest import Manifest, StoreIdentity, identity_of, object_name, read_manifest, write_identity
from nowt.store.sync.merge import Databases, merge

PARTIAL = ".restoring"  # the folder of what is fetched, until all of it is in place


def restore(
    url: str, store: Path, echo: Echo, databases: Databases, *, continues: bool, if_empty: bool = False
) -> None:
    """Restore the backup at ``url`` to ``store``; if the store is not empty, merge it as ``merge`` does.

    With ``continues``, the store replaces the one that was backed up: its backups go to ``url`` from now on, and those
    of the old store are refused. With ``if_empty``, a store with runs is left unchanged, unless they are those of an
    interrupted restore, and a missing backup is not an error. Raises ConfigError if there is no complete backup, if it
    contradicts the store or if another process is restoring the store, OSError if it cannot be fetched.
    """
    bucket = Bucket.from_url(url)
    with process_lock(store / f"{PARTIAL}.lock", f"{store} is already being restored"):
        _restore(bucket, store, echo, databases, continues, if_empty)


def _restore(bucket: Bucket, store: Path, echo: Echo, databases: Databases, continues: bool, if_empty: bool) -> None:
    url, folder = bucket.url, store / PARTIAL
    manifest = read_manifest(bucket)
    if if_empty and is_store(store) and not folder.exists():
        return echo(f"{store} already has runs and is left unchanged")
    if manifest is None and if_empty:
        return echo(f"there is no backup of a store at {url} yet")
    if manifest is None:
        raise ConfigError(f"there is no complete backup of a store at {url}: run nowt backup first")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _fetch(bucket, manifest, folder)
    if is_store(store):
        merge(folder, store, echo, databases, url)
    else:
        _move(folder, store, manifest)
        databases.refresh(store, False)
        echo(f"restored {counted(len(manifest.files), 'file')} from {url}")
    if continues:
        mine = identity_of(store).id if Store(store).identity.exists() else uuid4().hex
        write_identity(store, StoreIdentity(mine, manifest.store if manifest.store != mine else ""))
    shutil.rmtree(folder)


def _fetch(bucket: Bucket, manifest: Manifest, folder: Path) -> None:
    for path, content in manifest.files.items():
        data = bucket.get(object_name(content))
        if data is None or hashlib.sha256(data).hexdigest() != content:
            raise OSError(f"{bucket.url} changed while {path} was fetched. Nothing was restored; try again.")
        write_atomically(folder / path, data, durable=True)


def _move(folder: Path, store: Path, manifest: Manifest) -> None:
    """Move the files into an empty store, logs and study files last: an interrupted restore is merged next time."""
    private_folder(Store(store).tracking_server)
    here = manifest.root == str(store.resolve())  # otherwise MLflow would look for its artifacts at the old path
    moved = [name for name in manifest.files if here or name.partition("/")[0] not in ("mlflow.db", "artifacts")]
    for name in sorted(moved, key=lambda name: name.partition("/")[0] in PARTS):
        move_new(folder / name, store / name)  # not over a log or study that was begun meanwhile
