"""Prepares one class: verifies every image, puts it in place, and records the result."""

import json
import os
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nowt.core.errors import DataError, naming
from nowt.data.class_folders import facts_of
from nowt.data.decode import BadImage, verify
from nowt.data.imagenet.archives import SourceImage
from nowt.data.imagenet.published import PNG
from nowt.data.imagenet.source import ClassSource, images_in_folder, is_image
from nowt.data.images import content_digest
from nowt.store.temporary_files import temporary_path

FileFacts = tuple[str, int, int, int, int]  # name and ``Facts``

WORK = ".prepare"  # in DST: the records of finished classes, and incomplete files

REMOVED = f"{WORK}/removed"  # images that were in DST and that SRC does not have: somebody may have put them there


class Cancelled(Exception):
    """Raised when the work is stopped in the middle of a class."""


@dataclass(frozen=True)
class ClassRecord:
    """The result of one class."""

    part: str
    wnid: str
    copied: bool  # files are copies, not hard links to the source
    images: list[tuple[str, int, str]]  # name, size in bytes and content digest of each complete image, sorted
    odd: dict[str, str] = field(default_factory=dict)  # kind of each image that is not a gray or RGB JPEG
    broken: dict[str, str] = field(default_factory=dict)  # reason for each image that was left out
    in_place: list[FileFacts] = field(default_factory=list)  # the files of the class when it was complete
    source: list[tuple[str, int, int]] = field(default_factory=list)  # name, size, time of modification of each image
    moved: list[str] = field(default_factory=list)  # images that were in DST and are not those of SRC
    kept: bool = False  # completed by an earlier command

    def to_json(self) -> str:
        """Return the record as it is stored."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ClassRecord | None":
        """Return a stored record, which an earlier command completed; None for one of an earlier version."""
        values: dict[str, Any] = json.loads(text)
        if not {"images", "source"} <= values.keys():  # it has no digests, or no times of the source
            return None
        lists = {name: [tuple(entry) for entry in values[name]] for name in ("images", "in_place", "source")}
        return cls(**{**values, **lists, "kept": True})


@dataclass(frozen=True)
class ClassPreparer:
    """Prepare one class per call."""

    target: Path
    copy: bool
    stop: threading.Event

    def __call__(self, source: ClassSource) -> ClassRecord:
        """Prepare the class unless its record and files show that it is done. Raises Cancelled, DataError, OSError."""
        if self.stop.is_set():
            raise Cancelled
        images = sorted(source.list_images(), key=lambda image: image.name)
        if (done := self._finished(source, images)) is not None:
            return done
        record = self._prepare(source, images)
        _write(self._record_path(source), record.to_json().encode())
        return record

    def _record_path(self, source: ClassSource) -> Path:
        return self.target / WORK / source.part / f"{source.wnid}.json"

    def _finished(self, source: ClassSource, images: list[SourceImage]) -> ClassRecord | None:
        """Return the record of the class, if the source and the files in place still match it."""
        if not self._record_path(source).exists():
            return None
        record = ClassRecord.from_json(self._record_path(source).read_text(encoding="utf-8"))
        if record is None or record.broken or record.copied != (self.copy or _from_archive(images)):
            return None
        same_source = record.source == _facts(images)
        same_files = record.in_place == _files_in_place(self.target / source.part / source.wnid)
        return record if same_source and same_files else None

    def _prepare(self, source: ClassSource, images: list[SourceImage]) -> ClassRecord:
        folder = self.target / source.part / source.wnid
        folder.mkdir(parents=True, exist_ok=True)
        record = ClassRecord(source.part, source.wnid, self.copy or _from_archive(images), [])
        for image in images:
            if self.stop.is_set():
                raise Cancelled
            self._prepare_image(image, folder, record)
        wanted = {name for name, _, _ in record.images}
        for leftover in images_in_folder(folder):
            if leftover.name not in wanted:
                self._move_away(leftover.path, record)
        return replace(record, in_place=_files_in_place(folder), source=_facts(images))

    def _prepare_image(self, image: SourceImage, folder: Path, record: ClassRecord) -> None:
        data = image.read()
        try:
            kind = verify(data)
        except BadImage as error:
            record.broken[image.name] = str(error)
            return
        if kind not in ("RGB JPEG", "L JPEG"):
            record.odd[image.name] = "PNG" if image.name in PNG and kind.endswith(" PNG") else kind
        path = folder / image.name
        if path.is_file() and not _contains(path, data):
            self._move_away(path, record)
        self._copy_or_link(image, data, path)
        record.images.append((image.name, len(data), content_digest(data).hex()))

    def _move_away(self, path: Path, record: ClassRecord) -> None:
        """Keep an image that is not one of SRC, under a name that no earlier one has."""
        name = path.relative_to(self.target)
        place, number = self.target / REMOVED / name, 1
        while place.exists():
            number += 1
            place = place.with_name(f"{name.stem}.{number}{name.suffix}")
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
        record.moved.append(str(name))

    def _copy_or_link(self, image: SourceImage, data: bytes, path: Path) -> None:
        if self.copy or image.in_archive:
            _write(path, data, self.target / WORK)
            return
        try:
            path.unlink(missing_ok=True)
            os.link(image.path, path)
        except OSError as error:
            raise DataError(
                f"cannot create a hard link from {image.path} in {self.target} ({error.strerror}): use --copy"
            ) from error


def _facts(images: list[SourceImage]) -> list[tuple[str, int, int]]:
    """Return the facts that show whether an image of the source has changed."""
    return [(image.name, image.size, image.modified_ns) for image in images]


def _contains(path: Path, data: bytes) -> bool:
    return path.stat().st_size == len(data) and path.read_bytes() == data


def _from_archive(images: list[SourceImage]) -> bool:
    """Return whether the images are inside an archive, from which no hard link can be made."""
    return any(image.in_archive for image in images)


def _files_in_place(folder: Path) -> list[FileFacts]:
    """Return the facts of the image files in a folder, which show whether one of them has changed; sorted."""
    with os.scandir(folder) as entries:
        return sorted((entry.name, *facts_of(entry)) for entry in entries if is_image(entry.name))


def _write(path: Path, data: bytes, temporary_folder: Path | None = None) -> None:
    """Write a file atomically. If this process is killed, the next command deletes its temporary file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path((temporary_folder or path.parent) / path.name)
    with naming(path):
        temporary.write_bytes(data)
    temporary.replace(path)
