"""``nowt backup``: copies a store's logs, study files and databases to a bucket, so that they outlive the machine.

Checkpoints are not included, and neither are secrets: a new machine creates its own password. Files with other names
than nowt's are left out.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

from nowt.core.errors import ConfigError, Echo, naming
from nowt.core.formatting import counted
from nowt.store.database_files import copy_database
from nowt.store.existing import require_store
from nowt.store.files import copy_plain_file
from nowt.store.jsonl import complete_part
from nowt.store.names import RESTORED, SERVER
from nowt.store.sync.bucket import Bucket
from nowt.store.sync.manifest import Manifest, identity_of, object_name, read_manifest, write_manifest

# In the order in which a study writes: a decision is made, listed, and then measured. So a backup taken while a study
# runs lacks nothing that a crash could not also have lost.
# MLflow's own database is rebuilt from the logs.
DATABASES = ("optuna.db", "keeper/mlflow.db")

FILES = ("studies/*.json", "certificates/*.json", "earlier/**/*", "keeper/artifacts/**/*")

LINES = ("studies/*.runs.jsonl", "logs/*.jsonl")

FAILURES = (OSError, ValueError)  # of the bucket and the disk; of an unreadable file

LAST_SECONDS, LAST_PAUSE = 30.0, 5.0  # for how long the last backup is retried, and how often


@dataclass
class StoreBackup:
    """Backs up one store to one bucket; each time only the files that have changed are sent."""

    store: Path
    bucket: Bucket
    hashes: dict[Path, tuple[tuple[int, ...], str]] = field(
        default_factory=dict
    )  # by path: size and time of change, hash of the content
    uploaded: set[str] = field(default_factory=set)  # hashes of the contents that the bucket has

    def run(self) -> tuple[int, int]:
        """Back up the store as it is now; return the number of files and of those that were sent.

        Raises ConfigError if the bucket holds the backup of another store, OSError if either is not accessible.
        """
        mine, before = identity_of(self.store), read_manifest(self.bucket)
        if before and before.store not in (mine.id, mine.restored):
            raise ConfigError(
                f"{self.bucket.url} holds the backup of another store, which was in {before.root}: give another "
                f"prefix, or restore that one here first: nowt restore {self.bucket.url}"
            )
        self.uploaded |= set(before.files.values()) if before else set()
        sent = len(self.uploaded)
        files = dict(self._files())
        write_manifest(self.bucket, Manifest(mine.id, str(self.store.resolve()), time.time_ns() // 1_000_000, files))
        sent = len(self.uploaded) - sent
        self._remove_unreferenced({*files.values(), *(before.files.values() if before else ())})
        return len(files), sent

    def _files(self) -> Iterator[tuple[str, str]]:
        for path in self._present(DATABASES):
            yield self._name(path), self._upload(path, path.with_name(f"{path.name}-wal"), copy=copy_database)
        for path in self._present(FILES):
            yield self._name(path), self._upload(path, copy=_file)
        for path in self._present(LINES):
            yield self._name(path), self._upload(path, copy=_lines)

    def _present(self, patterns: tuple[str, ...]) -> list[Path]:
        found = {path for pattern in patterns for path in self.store.glob(pattern)}
        names = ((path, self._name(path)) for path in found if path.is_file())
        return sorted(path for path, name in names if RESTORED.matches(name) or SERVER.matches(name))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.store).as_posix()

    def _upload(self, path: Path, *beside: Path, copy: Callable[[Path, Path], None]) -> str:
        """Return the hash of the content of ``path``, uploading it first if the bucket lacks it."""
        stamp = tuple(n for p in (path, *beside) if p.exists() for n in (p.stat().st_size, p.stat().st_mtime_ns))
        if path not in self.hashes or self.hashes[path][0] != stamp or self.hashes[path][1] not in self.uploaded:
            with TemporaryDirectory(prefix="nowt-") as folder:
                copied = Path(folder) / "copy"
                copy(path, copied)
                with copied.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                if content not in self.uploaded:
                    self.bucket.put(object_name(content), copied)
            self.uploaded.add(content)
            self.hashes[path] = stamp, content
        return self.hashes[path][1]

    def _remove_unreferenced(self, needed: set[str]) -> None:
        """Remove objects that belong to neither this backup nor the previous one, which may still be in use by a
        restore."""
        self.uploaded &= needed  # first, because a removal that fails may have removed some
        named = {object_name(content) for content in needed}
        self.bucket.remove(name for name in self.bucket.names("objects/") if name not in named)


def _file(source: Path, target: Path) -> None:
    with naming(target):
        copy_plain_file(source, target)


def _lines(source: Path, target: Path) -> None:
    with naming(target):
        target.write_bytes(complete_part(source))


def backup(store: Path, url: str, every: float | None, echo: Echo, end: Event) -> None:
    """Back up once or, with ``every``, at intervals of that many seconds until ``end``, and then once more.

    Raises ConfigError as ``StoreBackup.run`` does and for a missing store, OSError if the bucket or the disk is not
    accessible, ValueError for an unreadable file. With ``every``, errors are printed and the backup is retried; only
    the last backup raises.
    """
    require_store(store)
    backup_ = StoreBackup(store, Bucket.from_url(url))
    if every is not None:
        _repeat(backup_, every, echo, end)
    files, sent = backup_.run() if every is None else _last(backup_, echo)
    echo(f"{url} has {counted(files, 'file')}, {sent} of them new")


def _repeat(backup_: StoreBackup, every: float, echo: Echo, end: Event) -> None:
    """Back up every ``every`` seconds. An error is printed once and does not stop the loop, since nobody might restart
    it."""
    printed = ""
    while not end.is_set():
        begun, problem = time.monotonic(), ""
        try:
            backup_.run()
        except FAILURES as error:
            if isinstance(error, ConfigError) and not backup_.hashes:  # a mistake on the command line
                raise
            problem = str(error)
        if problem != printed:
            url = backup_.bucket.url
            echo(f"{problem}; retrying in {every:g} s" if problem else f"{url} is complete again")
        printed = problem
        end.wait(max(0.0, every - (time.monotonic() - begun)))


def _last(backup_: StoreBackup, echo: Echo) -> tuple[int, int]:
    """Back up one last time. Retries are limited, because a machine that shuts down does not wait."""
    until = time.monotonic() + LAST_SECONDS
    while True:
        try:
            return backup_.run()
        except FAILURES as error:
            if isinstance(error, ConfigError) or time.monotonic() > until:
                raise
            echo(f"{error}; retrying the last backup in {LAST_PAUSE:g} s")
        time.sleep(LAST_PAUSE)
