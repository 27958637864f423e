"""``nowt restore``: a store from its copy in a bucket, on a new machine or into a store that has runs of its own."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from nowt.errors import ConfigError
from nowt.keeper.bucket import Bucket
from nowt.keeper.files import write_whole
from nowt.keeper.manifest import Identity, Manifest, identity_of, object_of, read_manifest, write_identity
from nowt.keeper.merge import PARTS, bring_up_to_date, is_store, merge
from nowt.keeper.private import private_folder

Say = Callable[[str], None]


def restore(url: str, store: Path, say: Say, *, goes_on: bool) -> None:
    """Bring the copy at ``url`` into ``store``: as it is where the store is empty, else as ``merge`` does.

    With ``goes_on`` the store takes the place of the one that was copied: its own copies go there from now on, and a
    machine that still copies the old one is refused. Raises ConfigError where there is no whole copy or it contradicts
    the store, OSError where it cannot be fetched.
    """
    bucket = Bucket.at(url)
    manifest = read_manifest(bucket)
    if manifest is None:
        raise ConfigError(f"there is no whole copy of a store at {url}: nowt backup makes one")
    store.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".restore-", dir=store) as folder:
        _fetch(bucket, manifest, Path(folder))
        if is_store(store):
            merge(Path(folder), store, say, url)
        else:
            _move(Path(folder), store, manifest)
            say(f"{len(manifest.files)} files came from {url}")
    if goes_on:
        mine = identity_of(store).id if (store / "copy.json").exists() else uuid4().hex
        write_identity(store, Identity(mine, manifest.store if manifest.store != mine else ""))


def _fetch(bucket: Bucket, manifest: Manifest, folder: Path) -> None:
    for path, content in manifest.files.items():
        data = bucket.get(object_of(content))
        if data is None or hashlib.sha256(data).hexdigest() != content:
            raise OSError(f"{bucket.url} was changed while {path} was fetched: nothing was restored, try again")
        write_whole(folder / path, data)


def _move(folder: Path, store: Path, manifest: Manifest) -> None:
    """Move the files into an empty store; logs and sheets last, so that one cut off is merged the next time."""
    private_folder(store / "keeper")
    here = manifest.root == str(store.resolve())  # else MLflow would look for its files where they were
    left = [name for name in manifest.files if here or name.partition("/")[0] not in ("mlflow.db", "artifacts")]
    for name in sorted(left, key=lambda name: name.partition("/")[0] in PARTS):
        target = store / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            (folder / name).replace(target)
    bring_up_to_date(store, afresh=False)
