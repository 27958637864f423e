"""Reads CIFAR-10 from its binary version or from image folders. Its Python pickles are never opened."""

from pathlib import Path

import numpy as np

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.data import image_folder
from nowt.data.images import ImageArrays, RawDataset, digest_of
from nowt.data.published_layouts import naming_the_layout

CLASSES = 10

SHAPE = (3, 32, 32)

RECORD = 1 + 3 * 32 * 32  # bytes per image: its label, then its pixels, channel by channel

LAYOUT = "cifar-10-batches-bin/*.bin, or train/CLASS/*.png and val/CLASS/*.png"


def read(config: DataConfig, placement: Placement, size: int) -> RawDataset:
    """Read 50,000 training and 10,000 test images, 32x32. Raises DataError naming the file or folder."""
    root = image_folder.root_of(config, placement, LAYOUT)
    with naming_the_layout(root, config.name):
        return _read(root, config, placement, size)


def _read(root: Path, config: DataConfig, placement: Placement, size: int) -> RawDataset:
    for binary in (root / "cifar-10-batches-bin", root):
        if (binary / "test_batch.bin").exists():
            if config.on_bad == "skip":
                raise DataError(f"data.on_bad skip skips broken image files, and {binary} has no image files: use stop")
            return _read_binary(binary, size)
    if (root / "train").is_dir():
        raw = image_folder.read(config, placement, size)
        if raw.classes != CLASSES:
            raise DataError(
                f"{root}/train has {raw.classes} classes, CIFAR-10 has {CLASSES}: for other images, "
                "set data.name to folder"
            )
        return raw
    if list(root.glob("**/data_batch_1")):
        raise DataError(
            f"{root} contains the Python version of CIFAR-10: pickles, which can run code and are not opened;"
            " download the binary version, cifar-10-binary.tar.gz, and unpack it there"
        )
    raise DataError(f"{root} does not contain CIFAR-10; expected {LAYOUT}")


def _read_binary(binary: Path, size: int) -> RawDataset:
    batches = [_batch(binary / f"data_batch_{i}.bin") for i in range(1, 6)]
    pixels = np.concatenate([batch.pixels for batch in batches])
    train = ImageArrays(pixels, np.concatenate([batch.labels for batch in batches]))
    test = _batch(binary / "test_batch.bin")
    content = digest_of(train.digest(), test.digest())
    return RawDataset(train.resize(size), test.resize(size), CLASSES, content)


def _batch(path: Path) -> ImageArrays:
    if not path.exists():
        raise DataError(f"{path} is missing; download the binary version, cifar-10-binary.tar.gz, again")
    data = np.fromfile(path, np.uint8)
    if len(data) == 0 or len(data) % RECORD or data[::RECORD].max() >= CLASSES:
        raise DataError(
            f"{path} is not a batch of CIFAR-10's binary version (records of {RECORD} bytes); download it again"
        )
    records = data.reshape(-1, RECORD)
    return ImageArrays(records[:, 1:].reshape(-1, *SHAPE), records[:, 0].astype(np.int64))
