"""Images inside tar and zip files, which any thread can read in any order."""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nowt.core.errors import DataError


@dataclass(frozen=True)
class SourceImage:
    """An image of the source: a file, or the part of a tar file that starts at ``offset``."""

    name: str
    size: int  # bytes
    path: Path  # of the file, or of the archive
    modified_ns: int  # time of modification of ``path``
    offset: int | None = None

    @property
    def in_archive(self) -> bool:
        """Whether the image is part of an archive, so that no hard link to it can be made."""
        return self.offset is not None

    def read(self) -> bytes:
        """Return the image's bytes. Raises DataError if they cannot be read."""
        try:
            if self.offset is None:
                return self.path.read_bytes()
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return file.read(self.size)
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class ZippedImage(SourceImage):
    """An image in a zip file, which is open."""

    archive: zipfile.ZipFile | None = None
    member: str = ""

    @property
    def in_archive(self) -> bool:
        """Whether the image is part of an archive, so that no hard link to it can be made."""
        return True

    def read(self) -> bytes:
        """Return the image's bytes. Raises DataError if they cannot be read, or are not those that were packed."""
        assert self.archive is not None
        try:
            return self.archive.read(self.member)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{self.path} is damaged at {self.member} ({error}): download it again") from error


def zip_members(path: Path) -> dict[str, SourceImage]:
    """Return the files in a zip by their paths. Raises DataError if it is not a zip file or is truncated."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is truncated or not a zip file ({error}): download it again") from error
    modified = path.stat().st_mtime_ns
    return {
        (name := member.filename): ZippedImage(Path(name).name, member.file_size, path, modified, None, archive, name)
        for member in archive.infolist()
        if not member.is_dir()
    }


def tar_members(path: Path, begin: int = 0, length: int | None = None) -> list[SourceImage]:
    """Return the files in a tar, which may be nested in another: from ``begin`` on, ``length`` bytes long.

    Raises DataError if it is not a tar file or is truncated.
    """
    status = path.stat()
    end = status.st_size if length is None else begin + length
    found = []
    for member in _members(path, begin):
        if member.offset_data + member.size > end:
            raise DataError(f"{path} ends in the middle of {member.name}: download it again")
        if member.isfile():
            found.append(SourceImage(Path(member.name).name, member.size, path, status.st_mtime_ns, member.offset_data))
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
        raise DataError(f"{path} is truncated or not a tar file ({error}): download it again") from error
