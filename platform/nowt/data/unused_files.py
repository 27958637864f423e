"""Files in the cache of a store that this version of nowt, on this machine, does not read.

They are reported and never deleted: another machine may share the store, or a data folder may only be unmounted.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

from nowt.config.placement import Placement
from nowt.data.content import table_path
from nowt.data.decode import decoder
from nowt.data.digest_table import root_of_table
from nowt.store.layout import Store


def unused_files(store: Path) -> list[str]:
    """Return one line per kind of file that is not read: what it is, and how to delete it."""
    return [*outdated_pixels(store), *unused_tables(store)]


def outdated_pixels(store: Path) -> Iterator[str]:
    """Yield a line if another decoder has prepared images, which are then prepared again."""
    files = [path for kind in ("pixels", "broken.json") for path in Store(store).cache.glob(f"*.{kind}")]
    if outdated := [path for path in files if f".{decoder()}." not in path.name]:
        names = sorted({f"{'?' * 16}.{path.name.partition('.')[2]}" for path in outdated})  # each begins with a digest
        yield (
            f"{_size(outdated)} of images that another version of nowt, of Pillow or of its libraries has prepared and "
            f"that this one does not read; if no other machine uses them: {_removal(store, names)}"
        )


def unused_tables(store: Path) -> Iterator[str]:
    """Yield a line if there are digests of folders that are not on this machine, or not on the same disk as before."""
    tables = {path: root_of_table(path) for path in sorted(Store(store).cache.glob("*.digests.npz"))}
    unused = {path: root for path, root in tables.items() if root and not _is_used(path, root, store)}
    if unused:
        roots, removal = ", ".join(unused.values()), _removal(store, [path.name for path in unused])
        yield (
            f"{_size(unused)} with the digests of images that this machine does not have ({roots}); "
            f"if they are gone for good: {removal}"
        )


def _is_used(table: Path, root: str, store: Path) -> bool:
    return Path(root).is_dir() and table_path(Path(root), Placement(store=str(store))) == table


def _size(files: "list[Path] | dict[Path, str]") -> str:
    size = sum(path.stat().st_size for path in files)
    return f"{len(files)} file{'s' * (len(files) > 1)} ({size / 1e9:.2f} GB)"


def _removal(store: Path, names: list[str]) -> str:
    folder = shlex.quote(str(Store(store).cache))
    return " ".join(["rm", *(f"{folder}/{name}" for name in names)])
