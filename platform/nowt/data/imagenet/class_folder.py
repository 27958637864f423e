"""One class of the copy: every picture looked at and put in its place, and the record that says so."""

import json
import os
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nowt.core.errors import DataError
from nowt.data.decode import BadPicture, look
from nowt.data.imagenet.archives import Picture
from nowt.data.imagenet.expected import PNG
from nowt.data.imagenet.source import Unit, files

WORK = ".prepare"  # in DST: the records of finished classes, and files that are not whole yet


class Stopped(Exception):
    """The work was asked to stop, in the middle of a class."""


@dataclass(frozen=True)
class Record:
    """What was found in one class."""

    part: str
    wnid: str
    copied: bool  # files of their own, not links to the source's
    pictures: list[tuple[str, int]]  # name and bytes of each that is whole, sorted
    odd: dict[str, str] = field(default_factory=dict)  # what those are that are no grey or RGB JPEG
    broken: dict[str, str] = field(default_factory=dict)  # why the others are left out
    kept: bool = False  # found done by an earlier command


@dataclass(frozen=True)
class Piece:
    """How a class is done."""

    target: Path
    copy: bool
    stop: threading.Event

    def __call__(self, unit: Unit) -> Record:
        """Do the class, unless its record and its files say that it is done. Raises Stopped, DataError, OSError."""
        if self.stop.is_set():
            raise Stopped
        pictures = sorted(unit.pictures(), key=lambda picture: picture.name)
        if (done := self._done(unit, pictures)) is not None:
            return done
        record = self._do(unit, pictures)
        _write(self._path(unit), json.dumps(asdict(record)).encode())
        return record

    def _path(self, unit: Unit) -> Path:
        return self.target / WORK / unit.part / f"{unit.wnid}.json"

    def _done(self, unit: Unit, pictures: list[Picture]) -> Record | None:
        """The class's record, where the source and the files in their place are still as it says."""
        if not self._path(unit).exists():
            return None
        values = json.loads(self._path(unit).read_text())
        values["pictures"] = [(name, size) for name, size in values["pictures"]]
        record = Record(**{**values, "kept": True})
        asked = [(picture.name, picture.size) for picture in pictures]
        there = sorted((p.name, p.size) for p in files(self.target / unit.part / unit.wnid))
        whole = not record.broken and record.copied == (self.copy or _packed(pictures))
        return record if whole and record.pictures == asked == there else None

    def _do(self, unit: Unit, pictures: list[Picture]) -> Record:
        folder = self.target / unit.part / unit.wnid
        folder.mkdir(parents=True, exist_ok=True)
        record = Record(unit.part, unit.wnid, self.copy or _packed(pictures), [])
        for picture in pictures:
            if self.stop.is_set():
                raise Stopped
            self._one(picture, folder, record)
        wanted = {name for name, _ in record.pictures}
        for left in files(folder):  # of an earlier command, when the source had others
            if left.name not in wanted:
                left.path.unlink()
        return record

    def _one(self, picture: Picture, folder: Path, record: Record) -> None:
        data = picture.read()
        try:
            kind = look(data)
        except BadPicture as error:
            record.broken[picture.name] = str(error)
            return
        if kind not in ("RGB JPEG", "L JPEG"):
            record.odd[picture.name] = "PNG" if picture.name in PNG and kind.endswith(" PNG") else kind
        self._place(picture, data, folder / picture.name)
        record.pictures.append((picture.name, len(data)))

    def _place(self, picture: Picture, data: bytes, path: Path) -> None:
        if self.copy or picture.offset is not None:
            _write(path, data, self.target / WORK)
            return
        try:
            path.unlink(missing_ok=True)
            os.link(picture.path, path)
        except OSError as error:
            raise DataError(
                f"no hard link from {picture.path} into {self.target} can be made ({error.strerror}): give --copy"
            ) from error


def _packed(pictures: list[Picture]) -> bool:
    """Whether they lie in a tar, from which nothing can be linked."""
    return any(picture.offset is not None for picture in pictures)


def _write(path: Path, data: bytes, beside: Path | None = None) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (beside or path.parent) / f"{threading.get_ident()}.tmp"
    temporary.write_bytes(data)
    temporary.replace(path)
