"""Manifest of a prepared image folder: names, sizes, content digests and classes, so that 1.3 million files need not be
read again.

It gives the same result as listing and reading the folder, so a run has the same fingerprint and key with and without
it. When it is opened, the names and sizes of all images are compared with it; when an image is decoded, its digest.
"""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np

from nowt.core.errors import DataError
from nowt.core.formatting import counted
from nowt.data.class_folders import Listing, class_names, list_images
from nowt.data.images import DIGEST_BYTES, FolderImages, ImageFiles
from nowt.data.subsets import Ints
from nowt.store.files import write_atomically

NAME = "images.tsv"  # a header line of JSON, then one line per image: name, tab, bytes, tab, digest

EARLIER_NAME = "pictures.tsv"  # written by earlier versions; it has no digests and is not read

VERSION = 2

Entries = list[tuple[str, int, str]]  # image name relative to the folder, size in bytes, hexadecimal digest


def write(root: Path, train: Entries, val: Entries, **facts: object) -> Path:
    """Write the manifest atomically; ``facts`` go into its header. Raises DataError if the classes differ."""
    counts = [Counter(name.split("/", 2)[1] for name, _, _ in part) for part in (train, val)]
    classes = sorted(counts[0])
    if classes != sorted(counts[1]):
        other = sorted(set(classes) ^ set(counts[1]))[0]
        raise DataError(f"{root}/train and {root}/val have different classes: {other} is in only one of them")
    body = "".join(f"{name}\t{size}\t{digest}\n" for name, size, digest in sorted(train) + sorted(val)).encode()
    per_class = {name: [counts[0][name], counts[1][name]] for name in classes}
    header = {"nowt_images": VERSION, "sha256": _digest(body), **facts, "classes": per_class}
    write_atomically(root / NAME, json.dumps(header, allow_nan=False).encode() + b"\n" + body, durable=True)
    return root / NAME


def remove(root: Path) -> None:
    """Remove the manifest, and that of an earlier version."""
    for name in (NAME, EARLIER_NAME):
        (root / name).unlink(missing_ok=True)


def is_outdated(root: Path) -> bool:
    """Return whether the folder has only the manifest of an earlier version, which is not read."""
    return (root / EARLIER_NAME).exists() and not (root / NAME).exists()


def read(root: Path) -> FolderImages | None:
    """Return the images of the manifest; None if the folder has no manifest.

    Raises DataError if the manifest is damaged, or if the names or sizes of the images in the folder differ from it.
    """
    path = root / NAME
    if not path.exists():
        return None
    first, _, body = path.read_bytes().partition(b"\n")
    try:
        header = json.loads(first)
        intact = header["nowt_images"] == VERSION and header["sha256"] == _digest(body)
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise DataError(f"{path} is damaged: run nowt data prepare again, or delete it to list the folder instead")
    files = _parts(root, body, np.array(list(header["classes"].values())))
    left_out = _check(path, files, list(header["classes"]))
    return FolderImages(*files, list(header["classes"]), left_out)


def _parts(root: Path, body: bytes, counts: Ints) -> tuple[ImageFiles, ImageFiles]:
    """Return the training and test files; ``counts``: images per class in each, (classes, 2)."""
    fields = body.decode().replace("\t", "\n").split("\n")  # a loop over lines takes ten times as long
    names, sizes = fields[:-1:3], np.array(list(map(int, fields[1::3])), np.int64)
    digests = np.frombuffer(bytes.fromhex("".join(fields[2::3])), np.uint8).reshape(-1, DIGEST_BYTES)
    train = int(counts[:, 0].sum())
    labels = [np.repeat(np.arange(len(counts)), counts[:, part]) for part in (0, 1)]
    training = ImageFiles(root, names[:train], sizes[:train], digests[:train], labels[0])
    return training, ImageFiles(root, names[train:], sizes[train:], digests[train:], labels[1])


def _check(path: Path, files: tuple[ImageFiles, ImageFiles], classes: list[str]) -> Counter[str]:
    """Return how many files and folders of each kind are no images. Raises DataError naming the first difference
    between the folder and the manifest, if there is one."""
    left_out = Counter[str]()
    for part in files:
        folder = part.root / part.names[0].partition("/")[0]
        found = class_names(folder) if folder.is_dir() else []
        other = sorted(set(found) ^ set(classes))
        advice = "run nowt data prepare again"
        if not found:
            difference = f"{folder} is missing or empty"
        elif other and other[0] in found:  # nowt data prepare leaves other classes alone
            difference, advice = f"{folder / other[0]} is not in the list", "move it away"
        elif other:
            difference = f"{folder / other[0]} is missing"
        else:
            listing = list_images(part.root, folder.name, classes, f"the images in {path}")
            difference = _difference(part, listing)
            left_out += listing.left_out
        if difference:
            raise DataError(
                f"{difference}, so the folder does not match {path}: {advice}, or delete {path.name} to use the folder "
                "as it is"
            )
    return left_out


def _difference(part: ImageFiles, listing: Listing) -> str:
    """Describe the first image, by name, that is not in both, or has another size; empty if there is none."""
    sizes = listing.facts[:, 0]
    if listing.names == part.names and np.array_equal(sizes, part.sizes):
        return ""
    before = dict(zip(part.names, part.sizes.tolist(), strict=True))
    now = dict(zip(listing.names, sizes.tolist(), strict=True))
    changed = sorted(name for name in before | now if before.get(name) != now.get(name))
    if not changed:
        return ""
    name, others = changed[0], f" (and {len(changed) - 1} more differ)" if len(changed) > 1 else ""
    if name not in now:
        return f"{part.root / name} is missing{others}"
    if name not in before:
        return f"{part.root / name} is not in the list{others}"
    return f"{part.root / name} has {counted(str(now[name]), 'byte')}, in the list {before[name]}{others}"


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
