"""Pictures inside tar files, found by where they begin, so that any thread can read any of them."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nowt.core.errors import DataError


@dataclass(frozen=True)
class Picture:
    """A picture of the source: a file, or a piece of a tar file from ``offset`` on."""

    name: str
    size: int  # bytes
    path: Path
    offset: int | None = None

    def read(self) -> bytes:
        """The picture's bytes. Raises DataError where they cannot be read."""
        try:
            if self.offset is None:
                return self.path.read_bytes()
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return file.read(self.size)
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}") from error


def pictures(path: Path, begin: int = 0, length: int | None = None) -> list[Picture]:
    """The files in a tar, which may itself lie in another from ``begin`` on, ``length`` bytes long.

    Raises DataError where it is no tar or ends too early.
    """
    end = path.stat().st_size if length is None else begin + length
    found = []
    for member in _members(path, begin):
        if member.offset_data + member.size > end:
            raise DataError(f"{path} ends in the middle of {member.name}: fetch it again")
        if member.isfile():
            found.append(Picture(Path(member.name).name, member.size, path, member.offset_data))
    return found


def _members(path: Path, begin: int) -> Iterator[tarfile.TarInfo]:
    try:
        with path.open("rb") as file:
            file.seek(begin)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                yield from tar
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except tarfile.TarError as error:
        raise DataError(f"{path} is truncated, or no tar file ({error}): fetch it again") from error
