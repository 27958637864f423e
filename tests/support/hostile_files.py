"""A small valid store and bucket as files in memory, ways to spoil them, and a check that nothing else changes."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nowt.cli.main import one_line
from nowt.core.errors import Echo
from nowt.store.layout import Store
from nowt.store.sync.bucket import Bucket
from nowt.store.sync.merge import Databases
from nowt.store.sync.restore import restore
from tests.support.run_logs import epoch, start
from tests.support.synthetic_store import rules_study, write_store

URL = "s3://lab/nowt"

UNFINISHED = "0123456789ab"

CERTIFICATE = "certificate-bp-01234567.json"

CHECKPOINT = "step-000000012.pt"

NO_DATABASES = Databases(lambda other, store: 0, lambda other, store: None, lambda store, afresh: None)

Files = Mapping[str, bytes]


def valid_store(folder: Path) -> dict[str, bytes]:
    """The files of a store with a study of two cells, an unfinished run with a checkpoint, and a certificate."""
    write_store(folder, rules_study(names=["bp", "kp"], seeds=1, epochs=2), layers=2)
    writer = start(folder, UNFINISHED)
    writer.epoch(epoch(0))
    del writer
    (study,) = Store(folder).study_files()
    listed = {**json.loads(study.read_text())["runs"][0], "trial": 1, "stopped": 1, "reason": "worst"}
    study.with_name(f"{study.stem}.runs.jsonl").write_text(json.dumps(listed) + "\n")
    for path, text in ((Store(folder).certificates / CERTIFICATE, '{"rule": "bp"}'), (checkpoint(folder), "state")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    shutil.rmtree(folder)
    return dict(sorted(found.items()))


def checkpoint(store: Path) -> Path:
    return Store(store).checkpoints(UNFINISHED) / CHECKPOINT


def write_files(folder: Path, files: Files) -> Path:
    """Write the files into an empty ``folder``, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def backup_of(files: Files, hashes: Mapping[str, object] | None = None) -> dict[str, bytes]:
    """The objects of a backup of these files; ``hashes`` are what its manifest lists (default: theirs)."""
    true = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = {"store": "a", "root": "/x", "time": 1, "files": true if hashes is None else hashes, "schema": 1}
    objects = {f"objects/{true[name]}": data for name, data in files.items()}
    return {**objects, "manifest.json": json.dumps(manifest).encode()}


def labelled(name: str, body: bytes = b"state") -> dict[str, bytes]:
    """A checkpoint in a bucket, with its label."""
    label = {"name": name, "size": len(body), "sha256": hashlib.sha256(body).hexdigest(), "schema": 1}
    return {name: body, f"{name.removesuffix('.pt')}.json": json.dumps(label).encode()}


@dataclass
class MemoryBucket:
    """The objects of the only bucket, by name."""

    objects: dict[str, bytes]


@contextmanager
def memory_bucket() -> Iterator[MemoryBucket]:
    """Until the end of the context, every bucket is this one."""
    held = MemoryBucket({})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bucket, "from_url", lambda url: Bucket(url, "lab", "nowt", None))
        patch.setattr(Bucket, "get", lambda self, name: held.objects.get(name))
        patch.setattr(Bucket, "names", lambda self, under: [name for name in held.objects if name.startswith(under)])
        yield held


def restored(store: Path, echo: Echo = lambda line: None, **options: bool) -> Path:
    """Restore the backup in the bucket to ``store``, without databases, and return it."""
    restore(URL, store, echo, NO_DATABASES, continues=True, **options)
    return store


def refusal_of(action: Callable[[], object]) -> str:
    """The line with which an action is refused; empty if it succeeds. Anything but one line fails the test."""
    try:
        action()
    except (ValueError, OSError) as error:
        if not (reason := one_line(error)):
            raise  # a bug
        line = f"nowt: {reason}"
        assert line.isprintable() or not set(line) & set(map(chr, [*range(32), *range(127, 160)])), repr(line)
        assert len(line) < 2000
        return line
    return ""


def contents(folder: Path) -> dict[str, Any]:
    """All files below ``folder`` with their content, links and modes."""
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }
