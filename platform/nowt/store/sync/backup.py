"""``nowt backup``: a store's logs, study files and databases in a bucket, so that they outlive its machine.

Checkpoints are not copied here, nor anything secret: a new machine makes its own password.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

from nowt.core.errors import ConfigError
from nowt.store.files import copy_database
from nowt.store.jsonl import complete_part
from nowt.store.sync.bucket import Bucket
from nowt.store.sync.manifest import Manifest, identity_of, object_of, read_manifest, write_manifest

# In the order of a study: a decision is made, listed, and then measured. A copy has no decision on what its logs lack
# that a crash could not have left as well.
DATABASES = ("optuna.db", "mlflow.db", "keeper/mlflow.db")

FILES = ("studies/*.json", "certificates/*.json", "artifacts/**/*", "keeper/artifacts/**/*")

LINES = ("studies/*.runs.jsonl", "logs/*.jsonl")

FAILURES = (OSError, ValueError)  # the bucket's and the disk's; a file that is not what it should be

LAST_SECONDS, LAST_PAUSE = 30.0, 5.0  # for how long the last copy is tried, and how often


@dataclass
class Copying:
    """Copies one store into one bucket, each time only what has changed."""

    store: Path
    bucket: Bucket
    known: dict[Path, tuple[tuple[int, ...], str]] = field(default_factory=dict)  # by path: its stamp, its content
    there: set[str] = field(default_factory=set)  # contents that the bucket has

    def once(self) -> tuple[int, int]:
        """Copy the store as it is now; the number of its files and of those that were sent.

        Raises ConfigError where the bucket holds another store's copy, OSError where either cannot be used.
        """
        mine, before = identity_of(self.store), read_manifest(self.bucket)
        if before and before.store not in (mine.id, mine.restored):
            raise ConfigError(
                f"{self.bucket.url} holds the copy of another store, which lay in {before.root}: give another prefix, "
                f"or bring that one here first, nowt restore {self.bucket.url}"
            )
        self.there |= set(before.files.values()) if before else set()
        sent = len(self.there)
        files = dict(self._files())
        write_manifest(self.bucket, Manifest(mine.id, str(self.store.resolve()), time.time_ns() // 1_000_000, files))
        sent = len(self.there) - sent
        self._sweep({*files.values(), *(before.files.values() if before else ())})
        return len(files), sent

    def _files(self) -> Iterator[tuple[str, str]]:
        for path in self._present(DATABASES):
            yield self._name(path), self._sent(path, path.with_name(f"{path.name}-wal"), copy=copy_database)
        for path in self._present(FILES):
            yield self._name(path), self._sent(path, copy=_file)
        for path in self._present(LINES):
            yield self._name(path), self._sent(path, copy=_lines)

    def _present(self, patterns: tuple[str, ...]) -> list[Path]:
        found = {path for pattern in patterns for path in self.store.glob(pattern)}
        return sorted(path for path in found if path.is_file())

    def _name(self, path: Path) -> str:
        return path.relative_to(self.store).as_posix()

    def _sent(self, path: Path, *beside: Path, copy: Callable[[Path, Path], None]) -> str:
        """The content of ``path``, once the bucket has it."""
        stamp = tuple(n for p in (path, *beside) if p.exists() for n in (p.stat().st_size, p.stat().st_mtime_ns))
        if path not in self.known or self.known[path][0] != stamp or self.known[path][1] not in self.there:
            with TemporaryDirectory(prefix="nowt-") as folder:
                copied = Path(folder) / "copy"
                copy(path, copied)
                with copied.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                if content not in self.there:
                    self.bucket.put(object_of(content), copied)
            self.there.add(content)
            self.known[path] = stamp, content
        return self.known[path][1]

    def _sweep(self, needed: set[str]) -> None:
        """Remove what neither this copy nor the one before names: somebody may be reading that one."""
        self.there &= needed  # first: a removal that fails may have removed some
        named = {object_of(content) for content in needed}
        self.bucket.remove(name for name in self.bucket.names("objects/") if name not in named)


def _file(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def _lines(source: Path, target: Path) -> None:
    target.write_bytes(complete_part(source))


def backup(store: Path, url: str, every: float | None, say: Callable[[str], None], end: Event) -> None:
    """Copy once or, given ``every``, that many seconds from start to start until ``end``, and then once more.

    Raises ConfigError as ``Copying.once`` does and for a missing store; OSError where the bucket or the disk cannot be
    used, ValueError for a file that is not what it should be, but with ``every`` only at the end: until then it is
    said, and tried again.
    """
    if not store.is_dir():
        raise ConfigError(f"there is no store at {store}: name the folder of the logs (--store)")
    copying = Copying(store, Bucket.at(url))
    if every is not None:
        _again_and_again(copying, every, say, end)
    files, sent = copying.once() if every is None else _last(copying, say)
    say(f"{files} files are in {url}, {sent} of them new")


def _again_and_again(copying: Copying, every: float, say: Callable[[str], None], end: Event) -> None:
    """Copy every so many seconds. What goes wrong is said once; nobody would see that the copies had ended."""
    said = ""
    while not end.is_set():
        begun, trouble = time.monotonic(), ""
        try:
            copying.once()
        except FAILURES as error:
            if isinstance(error, ConfigError) and not copying.known:  # a mistake of who has just typed it
                raise
            trouble = str(error)
        if trouble != said:
            say(f"{trouble}; it is tried again in {every:g} s" if trouble else f"{copying.bucket.url} is whole again")
        said = trouble
        end.wait(max(0.0, every - (time.monotonic() - begun)))


def _last(copying: Copying, say: Callable[[str], None]) -> tuple[int, int]:
    """The copy after which none comes, tried for a while, since a machine that shuts down waits no longer."""
    until = time.monotonic() + LAST_SECONDS
    while True:
        try:
            return copying.once()
        except FAILURES as error:
            if isinstance(error, ConfigError) or time.monotonic() > until:
                raise
            say(f"{error}; the last copy is tried again in {LAST_PAUSE:g} s")
        time.sleep(LAST_PAUSE)
