"""``nowt restore``: restores a store from its backup in a bucket, or merges the backup into a store with other runs."""

import hashlib
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from uuid import uuid4

from nowt.core.errors import AccessError, ConfigError, Echo
from nowt.core.formatting import counted
from nowt.store.existing import PARTS, is_store
from nowt.store.files import move_new, private_folder, write_atomically
from nowt.store.layout import Store
from nowt.store.links import check_links
from nowt.store.locks import process_lock
from nowt.store.names import RESTORED, SERVER
from nowt.store.sync.bucket import Bucket
from nowt.store.sync.manifest import Manifest, StoreIdentity, identity_of, object_name, read_manifest, write_identity
from nowt.store.sync.merge import Databases, merge

PARTIAL = ".restoring"  # the folder of what is fetched, until all of it is in place


def restore(
    url: str,
    store: Path,
    echo: Echo,
    databases: Databases,
    *,
    continues: bool,
    if_empty: bool = False,
    server: bool = False,
) -> None:
    """Restore the backup at ``url`` to ``store``; if the store is not empty, merge it as ``merge`` does.

    With ``continues``, the store replaces the one that was backed up: its backups go to ``url`` from now on, and those
    of the old store are refused. With ``if_empty``, a store with runs is left unchanged, unless they are those of an
    interrupted restore, and a missing backup is not an error. With ``server`` (default: False), an empty store also
    gets the database and files of ``nowt serve``, which trusts them. MLflow's own database is rebuilt from the logs.

    Raises ConfigError if there is no complete backup, if it lists other files than those of a store, if it contradicts
    the store or if another process is restoring the store, OSError if it cannot be fetched.
    """
    check_links(store)
    bucket = Bucket.from_url(url)
    with process_lock(store / f"{PARTIAL}.lock", f"{store} is already being restored"):
        manifest = read_manifest(bucket)
        if if_empty and is_store(store) and not (store / PARTIAL).exists():
            return echo(f"{store} already has runs and is left unchanged")
        if manifest is None and if_empty:
            return echo(f"there is no backup of a store at {url} yet")
        if manifest is None:
            raise ConfigError(f"there is no complete backup of a store at {url}: run nowt backup first")
        _restore(bucket, manifest, store, echo, databases, server)
        if continues:
            mine = identity_of(store).id if Store(store).identity.exists() else uuid4().hex
            write_identity(store, StoreIdentity(mine, manifest.store if manifest.store != mine else ""))
        shutil.rmtree(store / PARTIAL)


def _restore(bucket: Bucket, manifest: Manifest, store: Path, echo: Echo, databases: Databases, server: bool) -> None:
    url, folder = bucket.url, store / PARTIAL
    files = {path: content for path, content in manifest.files.items() if RESTORED.matches(path)}
    if server and not is_store(store):
        files |= {path: content for path, content in manifest.files.items() if SERVER.matches(path)}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _fetch(bucket, files, folder)
    if is_store(store):
        merge(folder, store, echo, databases, url)
    else:
        _move(folder, store, files)
        databases.refresh(store, False)
        echo(f"restored {counted(len(files), 'file')} from {url}")


def _fetch(bucket: Bucket, files: Mapping[str, str], folder: Path) -> None:
    for path, content in files.items():
        data = bucket.get(object_name(content))
        if data is None or hashlib.sha256(data).hexdigest() != content:
            raise AccessError(f"{bucket.url} changed while {path} was fetched. Nothing was restored; try again.")
        write_atomically(folder / path, data, durable=True)


def _move(folder: Path, store: Path, files: Collection[str]) -> None:
    """Move the files into an empty store, logs and study files last: an interrupted restore is merged next time."""
    private_folder(Store(store).tracking_server)
    for name in sorted(files, key=lambda name: name.partition("/")[0] in PARTS):
        move_new(folder / name, store / name)  # not over a log or study that was begun meanwhile
