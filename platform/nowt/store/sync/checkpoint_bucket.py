"""Copies of a run's checkpoints in a bucket, so that they outlive the disk of the machine.

Their names are those in a store, ``KEY/step-000000012.pt`` and ``KEY/epoch-000010.pt``. Each is one object. Its label,
with ``.json`` in place of ``.pt``, is written last: a checkpoint without a label is incomplete and is ignored, and so
are objects with other names.
"""

import hashlib
import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from nowt.core.errors import Echo, require
from nowt.store.files import write_atomically
from nowt.store.json_types import INTEGER, TEXT, Table, check_object, known_fields
from nowt.store.jsonl import parse_line
from nowt.store.names import CHECKPOINT, RUN_KEY
from nowt.store.sync.bucket import Bucket

SCHEMA = 1

DEFAULT_KEEP = 2  # checkpoints that a run can resume from, as in its store


@dataclass(frozen=True)
class Label:
    """The name, size and hash that a checkpoint must have."""

    name: str
    size: int  # bytes
    sha256: str
    schema: int = SCHEMA


TYPES: Table = {"name": TEXT, "size": INTEGER, "sha256": TEXT, "schema": INTEGER}


@dataclass(frozen=True)
class CheckpointBucket:
    """The checkpoints of one run in a bucket. Every method raises OSError if S3 refuses."""

    bucket: Bucket  # with the prefix of the run

    @classmethod
    def from_url(cls, url: str, key: str) -> "CheckpointBucket":
        """Return the checkpoints of run ``key`` under ``url``, s3://BUCKET/PREFIX. Raises ConfigError for another
        URL, and for a key that is none."""
        require(RUN_KEY.matches(key), f"{key!r} is not {RUN_KEY.noun}, so there are no checkpoints of it")
        return cls(Bucket.from_url(f"{url.rstrip('/')}/{key}"))

    def send(self, folder: Path, keep: int = DEFAULT_KEEP) -> None:
        """Upload the newest checkpoint of ``folder`` and the retained ones, unless they exist.

        Then remove all checkpoints to resume from except the newest ``keep``, and those later than the newest of
        ``folder``.
        """
        listed = self.bucket.names("")
        there = {name for name in listed if CHECKPOINT.matches(name) and _label_of(name) in listed}
        newest = sorted(folder.glob("step-*.pt"))[-1:]
        for path in (*newest, *sorted(folder.glob("epoch-*.pt"))):
            if path.name not in there:
                with suppress(FileNotFoundError):  # the run has removed it meanwhile, and a newer one follows
                    self._put(path)
                    there.add(path.name)
        last = newest[0].name if newest else ""
        stay = sorted(name for name in there if name.startswith("step-") and name <= last)[-keep:]
        named = {*stay, *map(_label_of, stay)}
        self.bucket.remove(name for name in listed if name.startswith("step-") and name not in named)

    def _put(self, path: Path) -> None:
        with path.open("rb") as file:
            label = Label(path.name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
        self.bucket.remove(
            [_label_of(path.name)]
        )  # of an earlier checkpoint with this name, which is about to be overwritten
        self.bucket.put(path.name, path)
        self.bucket.put(_label_of(path.name), json.dumps(asdict(label), allow_nan=False).encode())

    def fetch(self, folder: Path, local_steps: Collection[int], min_step: int, echo: Echo) -> None:
        """Download the newest complete checkpoint to ``folder``, unless its step is in ``local_steps`` or below
        ``min_step``.

        A checkpoint that does not match its label is reported, and the one before it is used.
        """
        names = self.bucket.names("step-")
        for name in sorted(filter(CHECKPOINT.matches, names), reverse=True):
            if step_of(name) in local_steps or step_of(name) < min_step:
                return
            if _label_of(name) not in names:  # incomplete
                continue
            data, fault = self._checked(name)
            if not fault:
                return write_atomically(folder / name, data, durable=True)
            echo(f"checkpoint {self.bucket.url}/{name} {fault}: using the one before it")

    def _checked(self, name: str) -> tuple[bytes, str]:
        """Return a checkpoint's content and its problem, which is empty if there is none."""
        data = self.bucket.get(name)
        try:
            content = parse_line(self.bucket.get(_label_of(name)) or b"nothing")
            check_object(content, {"schema": INTEGER})
            if (schema := content.get("schema", SCHEMA)) > SCHEMA:
                return b"", f"has label schema {schema}, this version of nowt reads up to {SCHEMA} (update nowt)"
            label = Label(**known_fields(content, TYPES, TYPES.keys() - {"schema"}))
        except ValueError:
            return b"", "has an invalid label"
        if data is None:
            return b"", "is missing"
        if (label.name, label.size) != (name, len(data)) or label.sha256 != hashlib.sha256(data).hexdigest():
            return b"", "does not match its label"
        return data, ""

    def epochs(self) -> set[int]:
        """Return the epochs whose checkpoints are retained in the bucket."""
        names = self.bucket.names("epoch-")
        return {step_of(name) for name in names if CHECKPOINT.matches(name) and _label_of(name) in names}


def check_bucket(url: str) -> None:
    """Check that ``url`` is writable, and leave nothing there.

    Raises ConfigError if it is not a folder in a bucket, OSError if S3 refuses.
    """
    bucket = Bucket.from_url(url)
    bucket.put(".nowt", b"")
    bucket.remove([".nowt"])


def step_of(name: str) -> int:
    """Return the number in ``step-000000012.pt``, or in ``epoch-000010.pt``."""
    return int(name.partition("-")[2].partition(".")[0])


def _label_of(name: str) -> str:
    return name.removesuffix(".pt") + ".json"
