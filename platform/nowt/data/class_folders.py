"""Lists the images of PART/CLASS/... below a data folder, leaving out what file systems and archives add."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nowt.core.errors import DataError
from nowt.core.formatting import counted
from nowt.data.decode import EXTENSIONS, OTHER_EXTENSIONS
from nowt.data.subsets import Ints

# Thumbnails, waste baskets and snapshots of Synology, QNAP, NetApp and Windows, and what archives and fsck leave
# behind, in lower case. Names that begin with a dot are left out, too (.ipynb_checkpoints, ._IMG_1.jpg, .snapshot).
IGNORED = frozenset(
    {
        "@eadir",
        "@tmp",
        "@recycle",
        "@recently-snapshot",
        "@__thumb",
        "#recycle",
        "#snapshot",
        "~snapshot",
        "$recycle.bin",
        "system volume information",
        "__macosx",
        "lost+found",
    }
)

# size in bytes, time of modification and of status change in ns, number of the file (inode)
Facts = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Listing:
    """Image files of one part, class by class, sorted by name."""

    names: list[str]  # relative to the data folder
    facts: Ints  # (N, 4), see ``Facts``
    labels: Ints
    left_out: Counter[str]  # how many files and folders of each kind are no images of the part


def class_names(folder: Path) -> list[str]:
    """Return the names of the class folders in ``folder``, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not is_ignored(entry.name) and entry.is_dir())


def is_ignored(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or is known to contain no images of a data set."""
    return name.startswith(".") or name.lower() in IGNORED


def list_images(root: Path, part: str, classes: list[str], layout: str) -> Listing:
    """List the images of one part.

    Raises DataError if a class has none, or if some images are nested deeper below their class folders than others.
    """
    names: list[str] = []
    facts: list[Facts] = []
    labels: list[int] = []
    left_out = Counter(kind for entry in _entries(root, part) if (kind := _kind_beside_classes(entry)))
    for label, name in enumerate(classes):
        others = Counter[str]()
        found = sorted(_images(root, f"{part}/{name}", others))
        left_out += others
        if not found:
            unread = f", but {text}" if (text := other_formats(others)) else ""
            raise DataError(
                f"{root}/{part}/{name} contains no images ({', '.join(EXTENSIONS)}){unread}; expected {layout}"
            )
        names += [path for path, _ in found]
        facts += [image for _, image in found]
        labels += [label] * len(found)
    _check_depths(root, part, names)
    return Listing(names, np.array(facts, np.int64), np.array(labels, np.int64), left_out)


def is_other_format(kind: str) -> bool:
    """Return whether files of this kind, such as ``*.heic``, are images in a format that is not read."""
    return kind.startswith("*") and kind.endswith(OTHER_EXTENSIONS)


def other_formats(left_out: Mapping[str, int]) -> str:
    """Return the images that are left out because of their format, the most frequent first; empty if there are none."""
    kinds = sorted(filter(is_other_format, left_out), key=lambda kind: (-left_out[kind], kind))
    named = ", ".join(f"{left_out[kind]:,} {kind}" for kind in kinds)
    return f"{named} (formats that nowt does not read: convert them to JPEG or PNG)" if named else ""


def some(names: Iterable[str], limit: int = 5) -> str:
    """Return the first ``limit`` of the sorted names, and the number of the others, as text."""
    ordered = sorted(names)
    return ", ".join(ordered[:limit]) + (f" and {len(ordered) - limit} more" if len(ordered) > limit else "")


def _images(root: Path, folder: str, left_out: Counter[str]) -> Iterator[tuple[str, Facts]]:
    """Yield the name relative to the root and the facts of each image in the folder and its subfolders; count all that
    is no image in ``left_out``, but not what is inside a folder that is left out."""
    for entry in _entries(root, folder):
        if is_ignored(entry.name):
            left_out[_kind(entry.name)] += 1
        elif entry.is_dir():
            yield from _images(root, f"{folder}/{entry.name}", left_out)
        elif entry.name.lower().endswith(EXTENSIONS):
            yield f"{folder}/{entry.name}", facts_of(entry)
        else:
            left_out[_kind(entry.name)] += 1


def _kind(name: str) -> str:
    """Return what is counted together: a name that is ignored, or an extension."""
    stem, dot, extension = name.rpartition(".")
    if name.startswith("._"):
        return "._*"  # a Mac writes one for each file
    return f"*.{extension.lower()}" if stem and dot and not is_ignored(name) else name


def _kind_beside_classes(entry: os.DirEntry[str]) -> str:
    """Return the kind of what is left out beside the class folders; empty for a class folder."""
    if is_ignored(entry.name):
        return _kind(entry.name)
    return "" if entry.is_dir() else f"{_kind(entry.name)} in no class folder"


def _entries(root: Path, folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root / folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{root / folder} cannot be read: {error.strerror}") from error


def facts_of(entry: os.DirEntry[str]) -> Facts:
    """Return the facts that show whether a file has changed. Raises DataError if it cannot be read."""
    try:
        return file_facts(entry.stat())
    except OSError as error:
        raise DataError(f"{entry.path} cannot be read: {error.strerror}") from error


def file_facts(status: os.stat_result) -> Facts:
    """Return the facts that show whether a file has changed.

    The number of the file (inode) tells two files of one size apart that were written within one step of the clock, and
    whose folders have been swapped.
    """
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & 0x7FFF_FFFF_FFFF_FFFF


def _check_depths(root: Path, part: str, names: list[str]) -> None:
    """Raise DataError if images are at different depths: the deeper ones are mostly thumbnails or backups."""
    depths = Counter(map(_depth, names))
    shallowest = min(depths)
    if len(depths) == 1:
        return
    folders = {name.rpartition("/")[0] for name in names if _depth(name) > shallowest}
    raise DataError(
        f"{root} has {counted(len(names) - depths[shallowest], 'image')} nested deeper below their class folders than "
        f"the other {counted(depths[shallowest], 'image')} of {part}: are these copies or thumbnails? Move them "
        f"away, or bring all images of {part} to the same depth: {some(folders)}"
    )


def _depth(name: str) -> int:
    return name.count("/")
