"""A miniature ILSVRC2012 with synthetic images, in each of the layouts in which the data set is distributed."""

import csv
import tarfile
from pathlib import Path

import numpy as np

from tests.support.synthetic_images import draw

POOL = 40  # distinct images; each is used many times


def wnids(count: int) -> list[str]:
    """Return the WordNet IDs of ``count`` classes."""
    return [f"n{1440764 + 3 * i:08}" for i in range(count)]


def pool(folder: Path, size: int = 32) -> list[bytes]:
    """Return the bytes of the distinct images."""
    return [draw(folder / f"{i}.jpg", seed=i, width=size + 8, height=size).read_bytes() for i in range(POOL)]


def tree(root: Path, classes: int = 3, train: int = 4, val: int = 2, size: int = 32) -> Path:
    """train/WNID/WNID_1.JPEG and val/WNID/ILSVRC2012_val_00000001.JPEG; val images are numbered across classes."""
    images = pool(root.parent / "drawn", size)
    for c, wnid in enumerate(wnids(classes)):
        (root / "train" / wnid).mkdir(parents=True)
        (root / "val" / wnid).mkdir(parents=True)
        for i in range(train):
            (root / "train" / wnid / f"{wnid}_{i}.JPEG").write_bytes(images[(7 * c + i) % POOL])
        for i in range(val):
            name = f"ILSVRC2012_val_{i * classes + c + 1:08}.JPEG"
            (root / "val" / wnid / name).write_bytes(images[(5 * c + i + 3) % POOL])
    return root


def flatten_val(root: Path) -> dict[str, str]:
    """Move the validation images out of their class folders; return the class by image name."""
    found = {}
    for path in sorted((root / "val").glob("*/*")):
        found[path.stem] = path.parent.name
        path.rename(root / "val" / path.name)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    return found


def solution(root: Path, labels: dict[str, str]) -> None:
    """Write the labels as the competition distributes them, with bounding boxes."""
    with (root / "LOC_val_solution.csv").open("w", newline="") as file:
        rows = [(name, f"{wnid} 1 2 30 40 {wnid} 5 6 7 8") for name, wnid in labels.items()]
        csv.writer(file).writerows([("ImageId", "PredictionString"), *rows])


def devkit(root: Path, labels: dict[str, str], counts: dict[str, int], packed: bool = False) -> None:
    """Write the development kit: classes in its own order, and a parent class without images."""
    import scipy.io

    folder = root / "ILSVRC2012_devkit_t12/data"
    folder.mkdir(parents=True)
    names = sorted(counts, reverse=True)
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    kinds += [("children", "O"), ("wordnet_height", "O"), ("num_train_images", "O")]
    rows = [(i, wnid, "a word", "a gloss", 0, [], 0, counts[wnid]) for i, wnid in enumerate(names, 1)]
    rows.append((len(names) + 1, "n00001740", "all", "all there is", 2, [1, 2], 1, 0))
    scipy.io.savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=kinds)})
    numbers = [names.index(labels[name]) + 1 for name in sorted(labels)]
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{n}\n" for n in numbers))
    if packed:
        with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
            tar.add(root / "ILSVRC2012_devkit_t12", "ILSVRC2012_devkit_t12")
        for path in sorted(folder.iterdir()):
            path.unlink()
        folder.rmdir()
        folder.parent.rmdir()


def pack(folder: Path, path: Path) -> None:
    """Replace a folder by one tar of its files."""
    with tarfile.open(path, "w") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, file.name)
            file.unlink()
    folder.rmdir()


def pack_classes(root: Path, outer: bool = False) -> None:
    """Replace each training class by a tar; with ``outer``, put all of them into one tar, as published."""
    for folder in sorted((root / "train").iterdir()):
        pack(folder, folder.with_suffix(".tar"))
    if outer:
        pack(root / "train", root / "ILSVRC2012_img_train.tar")


def content(root: Path) -> dict[str, bytes]:
    """Return the content of every image in train and val by its path."""
    return {str(p.relative_to(root)): p.read_bytes() for part in ("train", "val") for p in (root / part).glob("*/*")}
