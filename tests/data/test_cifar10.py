"""CIFAR-10 from its binary version and from image folders."""

import itertools
from pathlib import Path

import pytest
import torch

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.data.datasets import DatasetSplits, open_data
from tests.support.synthetic_images import cifar_binary, draw, truncate

CIFAR10 = DataConfig("cifar10")


def opened(config: DataConfig, root: Path) -> DatasetSplits:
    return open_data(config, Placement(store=str(root / "store"), data=str(root)))


def refused(config: DataConfig, root: Path) -> str:
    with pytest.raises(DataError) as caught:
        opened(config, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_cifar10_is_read_from_its_binary_version(tmp_path: Path) -> None:
    cifar_binary(tmp_path / "cifar-10-batches-bin")
    data = opened(CIFAR10, tmp_path)
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test), data.shape) == (90, 10, 20, (3, 32, 32))
    x, y = next(iter(data.test.batches(20, drop_last=False)))
    mean, sd = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2470, 0.2435, 0.2616])
    stored = (x[:, :, 5, 7] * sd + mean) * 255
    assert torch.allclose(stored, y[:, None].float().expand(-1, 3), atol=1e-3)


def test_cifar10_is_read_from_folders(tmp_path: Path) -> None:
    for part, count in (("train", 10), ("test", 2)):
        for i in range(10 * count):
            draw(tmp_path / part / f"class{i % 10}" / f"{i}.png", i, 32, 32)
    data = opened(CIFAR10, tmp_path)
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test), data.classes) == (90, 10, 20, 10)


def test_folders_with_other_classes_are_not_cifar10(tmp_path: Path) -> None:
    for part, name in itertools.product(("train", "test"), ("cat", "dog")):
        draw(tmp_path / part / name / "0.png", 0, 32, 32)
    with pytest.raises(DataError, match="train has 2 classes, CIFAR-10 has 10: for other images, set data"):
        opened(CIFAR10, tmp_path)


def test_cifar10s_pickles_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py/data_batch_1").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    assert "download the binary version, cifar-10-binary.tar.gz" in refused(CIFAR10, tmp_path)


def test_a_missing_or_truncated_cifar10_batch_is_named(tmp_path: Path) -> None:
    folder = cifar_binary(tmp_path / "cifar-10-batches-bin", per_file=21)
    truncate(folder / "data_batch_3.bin")
    assert "data_batch_3.bin is not a batch of CIFAR-10's binary version" in refused(CIFAR10, tmp_path)
    (folder / "data_batch_3.bin").unlink()
    assert "data_batch_3.bin is missing" in refused(CIFAR10, tmp_path)


def test_the_message_for_a_folder_without_cifar10_gives_the_layout(tmp_path: Path) -> None:
    assert "cifar-10-batches-bin/*.bin, or train/CLASS" in refused(CIFAR10, tmp_path)


def test_on_bad_skip_is_refused_without_image_files(tmp_path: Path) -> None:
    cifar_binary(tmp_path / "cifar-10-batches-bin")
    message = refused(DataConfig("cifar10", on_bad="skip"), tmp_path)
    assert (
        "data.on_bad skip skips broken image files" in message and "cifar-10-batches-bin has no image files" in message
    )
    with pytest.raises(ValueError, match="mnist has none: it is for folder, imagenet, cifar10"):
        DataConfig("mnist", on_bad="skip")
