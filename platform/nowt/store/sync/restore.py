"""``nowt restore``: a store from its copy in a bucket, on a new machine or into a store that has runs of its own."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from nowt.core.errors import ConfigError
from nowt.store.files import private_folder, write_atomically
from nowt.store.layout import Store
from nowt.store.sync.bucket import Bucket
from nowt.store.sync.manifest import Identity, Manifest, identity_of, object_of, read_manifest, write_identity
from nowt.store.sync.merge import PARTS, Databases, is_store, merge

Say = Callable[[str], None]

CUT_OFF = ".restoring"  # what is fetched, until all of it is in its place


def restore(url: str, store: Path, say: Say, databases: Databases, *, goes_on: bool, if_empty: bool = False) -> None:
    """Bring the copy at ``url`` into ``store``: as it is where the store is empty, else as ``merge`` does.

    With ``goes_on`` the store takes the place of the one that was copied: its own copies go there from now on, and a
    machine that still copies the old one is refused. With ``if_empty`` nothing happens to a store with runs, unless
    they are those of a restore that was cut off, and a copy that is not there is no error. Raises ConfigError where
    there is no whole copy or it contradicts the store, OSError where it cannot be fetched.
    """
    bucket, folder = Bucket.at(url), store / CUT_OFF
    manifest = read_manifest(bucket)
    if if_empty and is_store(store) and not folder.exists():
        return say(f"{store} has runs already: it goes on as it is")
    if manifest is None and if_empty:
        return say(f"there is no copy of a store at {url} yet")
    if manifest is None:
        raise ConfigError(f"there is no whole copy of a store at {url}: nowt backup makes one")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _fetch(bucket, manifest, folder)
    if is_store(store):
        merge(folder, store, say, databases, url)
    else:
        _move(folder, store, manifest)
        databases.refresh(store, False)
        say(f"{len(manifest.files)} files came from {url}")
    if goes_on:
        mine = identity_of(store).id if Store(store).identity.exists() else uuid4().hex
        write_identity(store, Identity(mine, manifest.store if manifest.store != mine else ""))
    shutil.rmtree(folder)


def _fetch(bucket: Bucket, manifest: Manifest, folder: Path) -> None:
    for path, content in manifest.files.items():
        data = bucket.get(object_of(content))
        if data is None or hashlib.sha256(data).hexdigest() != content:
            raise OSError(f"{bucket.url} was changed while {path} was fetched: nothing was restored, try again")
        write_atomically(folder / path, data, durable=True)


def _move(folder: Path, store: Path, manifest: Manifest) -> None:
    """Move the files into an empty store; logs and study files last, so that one cut off is merged the next time."""
    private_folder(Store(store).tracking_server)
    here = manifest.root == str(store.resolve())  # else MLflow would look for its files where they were
    left = [name for name in manifest.files if here or name.partition("/")[0] not in ("mlflow.db", "artifacts")]
    for name in sorted(left, key=lambda name: name.partition("/")[0] in PARTS):
        target = store / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            (folder / name).replace(target)
