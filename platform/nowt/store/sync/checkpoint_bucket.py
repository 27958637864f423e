"""A run's checkpoints in a bucket, so that they outlive the disk that they were written to.

They lie there as in a store, ``KEY/step-000000012.pt`` and ``KEY/epoch-000010.pt``, each one object, put in one
request. Beside each lies its label, ``.json`` instead of ``.pt``, put last: a checkpoint without one is not whole, and
not taken.
"""

import hashlib
import json
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from nowt.store.files import write_atomically
from nowt.store.sync.bucket import Bucket

SCHEMA = 1

KEPT = 2  # of those that a run could go on from, as in its store


@dataclass(frozen=True)
class Label:
    """What a checkpoint must be."""

    name: str
    size: int  # bytes
    sha256: str
    schema: int = SCHEMA


@dataclass(frozen=True)
class Copies:
    """The copies of one run's checkpoints. Every method raises OSError where S3 says no."""

    bucket: Bucket  # at the run's own prefix

    @classmethod
    def of(cls, url: str, key: str) -> "Copies":
        """Those of the run ``key`` under ``url``, s3://BUCKET/PREFIX. Raises ConfigError for what is none."""
        return cls(Bucket.at(f"{url.rstrip('/')}/{key}"))

    def send(self, folder: Path, keep: int = KEPT) -> None:
        """Put the newest checkpoint of ``folder``, and those that stay, unless they are there. Then remove all that a
        run could go on from but the newest ``keep``, and what lies beyond where the run is now."""
        listed = self.bucket.names("")
        there = {name for name in listed if name.endswith(".pt") and _label_of(name) in listed}
        newest = sorted(folder.glob("step-*.pt"))[-1:]
        for path in (*newest, *sorted(folder.glob("epoch-*.pt"))):
            if path.name not in there:
                with suppress(FileNotFoundError):  # so old by now that the run has removed it: a newer one follows
                    self._put(path)
                    there.add(path.name)
        last = newest[0].name if newest else ""
        stay = sorted(name for name in there if name.startswith("step-") and name <= last)[-keep:]
        named = {*stay, *map(_label_of, stay)}
        self.bucket.remove(name for name in listed if name.startswith("step-") and name not in named)

    def _put(self, path: Path) -> None:
        with path.open("rb") as file:
            label = Label(path.name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
        self.bucket.remove([_label_of(path.name)])  # of another one of this name, half of which may be there soon
        self.bucket.put(path.name, path)
        self.bucket.put(_label_of(path.name), json.dumps(asdict(label)).encode())

    def fetch(self, folder: Path, have: Collection[int], least: int, say: Callable[[str], None]) -> None:
        """Bring the newest whole one into ``folder``, unless its step is among those that ``have`` names or below
        ``least``. One that is not what its label says is named, and the one before it taken."""
        names = self.bucket.names("step-")
        for name in sorted((name for name in names if name.endswith(".pt")), reverse=True):
            if step_of(name) in have or step_of(name) < least:
                return
            if _label_of(name) not in names:  # cut off
                continue
            data, fault = self._checked(name)
            if not fault:
                return write_atomically(folder / name, data, durable=True)
            say(f"checkpoint {self.bucket.url}/{name} {fault}: it is not used, but the one before it")

    def _checked(self, name: str) -> tuple[bytes, str]:
        """A checkpoint, and what is wrong with it; empty where nothing is."""
        data = self.bucket.get(name)
        try:
            label = Label(**json.loads(self.bucket.get(_label_of(name)) or b"nothing"))
        except (ValueError, TypeError):
            return b"", "has a label that is none"
        if label.schema > SCHEMA:
            return b"", f"has label schema {label.schema}, this nowt reads up to {SCHEMA} (update nowt)"
        if data is None:
            return b"", "is gone"
        if (label.name, label.size) != (name, len(data)) or label.sha256 != hashlib.sha256(data).hexdigest():
            return b"", "is not what its label says"
        return data, ""

    def epochs(self) -> set[int]:
        """The epochs whose checkpoints stay there."""
        names = self.bucket.names("epoch-")
        return {step_of(name) for name in names if name.endswith(".pt") and _label_of(name) in names}


def check_bucket(url: str) -> None:
    """Find out whether checkpoints can be put at ``url``, and leave nothing there. Raises ConfigError for what is no
    folder in a bucket, OSError where S3 says no."""
    bucket = Bucket.at(url)
    bucket.put(".nowt", b"")
    bucket.remove([".nowt"])


def step_of(name: str) -> int:
    """The number in ``step-000000012.pt``, or in ``epoch-000010.pt``."""
    return int(name.partition("-")[2].partition(".")[0])


def _label_of(name: str) -> str:
    return name.removesuffix(".pt") + ".json"
