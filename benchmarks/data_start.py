"""What the first and a later start cost on an image folder without a list of images, and with one.

Draws FILES files of random bytes, lists them, reads them once, and looks their digests up in the table of a second
start; with ``--cold``, the files are dropped from the page cache before they are read. Then does the same with the
table and the list of 1.33 million images, whose files are not needed for that.

    python benchmarks/data_start.py FOLDER [--files 5000] [--kilobytes 110] [--threads 2] [--cold]
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nowt.config.placement import Placement
from nowt.data import content, manifest
from nowt.data.class_folders import list_images
from nowt.data.digest_table import DigestTable
from nowt.data.images import DIGEST_BYTES, ImageFiles

IMAGES, CLASSES = 1_331_167, 1000  # of ILSVRC2012, train and val


def timed(title: str, count: int, work: Callable[[], Any]) -> Any:
    """Run ``work``, and print its seconds and its microseconds per file."""
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    print(f"{title:45} {count:>9,} files  {seconds:8.2f} s  {seconds / count * 1e6:8.1f} us per file", flush=True)
    return result


def write_files(folder: Path, files: int, size: int) -> list[str]:
    """Write the files into 100 class folders; return the names of these."""
    stream = np.random.default_rng(0)
    classes = [f"n{i:08}" for i in range(100)]
    for i in range(files):
        path = folder / "train" / classes[i % 100] / f"{classes[i % 100]}_{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stream.bytes(size))
    os.sync()
    return classes


def drop_from_page_cache(folder: Path) -> None:
    """Make the next reading of the files read the disk."""
    for path in folder.rglob("*.jpg"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_files(args: argparse.Namespace) -> None:
    """Measure listing, the first and a second start on files that are written for it."""
    root = Path(args.folder) / "images"
    place = Placement(store=str(Path(args.folder) / "store"), data=str(root), loaders=args.threads)
    classes = write_files(root, args.files, args.kilobytes * 1000)
    time.sleep(3)  # so that the files are older than the clock's step
    listing = timed("listing", args.files, lambda: list_images(root, "train", classes, ""))
    if args.cold:
        drop_from_page_cache(root)
    start = (root, listing.names, listing.facts, place)
    title = f"first start, {args.threads} threads" + ", cold" * args.cold
    timed(title, args.files, lambda: content.content_digests(*start))
    timed("later start", args.files, lambda: content.content_digests(*start))


def measure_tables(folder: Path) -> None:
    """Measure the table and the list of images at the size of ImageNet."""
    names = [f"train/n{i % CLASSES:08}/n{i % CLASSES:08}_{i}.JPEG" for i in range(IMAGES)]
    facts = np.random.default_rng(0).integers(0, 2**60, (IMAGES, 3))
    digests = np.random.default_rng(1).integers(0, 256, (IMAGES, DIGEST_BYTES), np.uint8)
    path = folder / "table.npz"
    timed("writing the table", IMAGES, lambda: DigestTable(names, facts, digests).save(path))
    timed("reading the table, looking up", IMAGES, lambda: DigestTable.load(path).look_up(names, facts))
    timed("looking up after one file was removed", IMAGES, lambda: DigestTable.load(path).look_up(names[1:], facts[1:]))
    files = ImageFiles(folder, names, facts[:, 0], digests, np.zeros(IMAGES, np.int64))
    timed("the fingerprint", IMAGES, files.digest)
    print(f"the table has {path.stat().st_size / 1e6:.0f} MB")
    body = "".join(
        f"{name}\t{size}\t{digest.tobytes().hex()}\n"
        for name, size, digest in zip(names, facts[:, 0], digests, strict=True)
    )
    counts = np.array([[IMAGES, 0]])
    timed("reading the list of images", IMAGES, lambda: manifest._parts(folder, body.encode(), counts))
    print(f"the list has {len(body) / 1e6:.0f} MB")


def main() -> None:
    """Print one line per step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--kilobytes", type=int, default=110)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cold", action="store_true")
    args = parser.parse_args()
    measure_files(args)
    measure_tables(Path(args.folder))


if __name__ == "__main__":
    main()
