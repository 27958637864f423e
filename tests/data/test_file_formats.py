"""MNIST, Fashion-MNIST and CIFAR-10 from their own files."""

import itertools
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.data.datasets import Data, open_data
from tests.support.drawn_images import cifar_binary, draw, mnist, truncate, write_idx

MNIST = DataConfig("mnist")

CIFAR10 = DataConfig("cifar10")


def opened(config: DataConfig, root: Path) -> Data:
    return open_data(config, Placement(store=str(root / "store"), data=str(root)))


def refused(config: DataConfig, root: Path) -> str:
    with pytest.raises(DataError) as caught:
        opened(config, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_mnist_is_read_plain_and_packed(tmp_path: Path) -> None:
    mnist(tmp_path / "plain/MNIST/raw")
    mnist(tmp_path / "packed/MNIST/raw", packed=True)
    mnist(tmp_path / "flat", packed=True)
    plain, packed, flat = (opened(MNIST, tmp_path / kind) for kind in ("plain", "packed", "flat"))
    assert plain.test is not None
    assert (len(plain.train), len(plain.val), len(plain.test), plain.shape) == (54, 6, 20, (1, 28, 28))
    assert plain.fingerprint == packed.fingerprint == flat.fingerprint


def test_mnist_pixels_lie_between_0_and_1(tmp_path: Path) -> None:
    mnist(tmp_path / "MNIST/raw")
    data = opened(MNIST, tmp_path)
    assert data.test is not None
    x, y = next(iter(data.test.batches(20, drop_last=False)))
    stored = np.random.default_rng(20).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    assert torch.equal(x[:, 0], torch.from_numpy(stored) / 255)
    assert y.tolist() == [i % 10 for i in range(20)]


def test_mnist_can_be_enlarged(tmp_path: Path) -> None:
    mnist(tmp_path / "MNIST/raw")
    plain, large = opened(MNIST, tmp_path).test, opened(DataConfig("mnist", size=32), tmp_path).test
    assert plain is not None and large is not None
    (x, _), (y, _) = (next(iter(split.batches(20, drop_last=False))) for split in (plain, large))
    assert y.shape == (20, 1, 32, 32)
    assert (y - interpolate(x, (32, 32), mode="bilinear")).abs().max() < 0.51 / 255


def test_fashion_mnist_has_a_folder_of_its_own(tmp_path: Path) -> None:
    mnist(tmp_path / "FashionMNIST/raw")
    assert opened(DataConfig("fashion_mnist"), tmp_path).classes == 10
    assert "MNIST/raw/train-images-idx3-ubyte (or" in refused(MNIST, tmp_path)


def test_other_pixels_have_another_fingerprint(tmp_path: Path) -> None:
    raw = mnist(tmp_path / "MNIST/raw")
    before = opened(MNIST, tmp_path).fingerprint
    write_idx(raw / "t10k-images-idx3-ubyte", np.zeros((20, 28, 28), np.uint8), packed=False)
    assert opened(MNIST, tmp_path).fingerprint != before


def test_a_missing_mnist_file_is_named(tmp_path: Path) -> None:
    raw = mnist(tmp_path / "MNIST/raw")
    (raw / "t10k-labels-idx1-ubyte").unlink()
    assert "t10k-labels-idx1-ubyte (or t10k-labels-idx1-ubyte.gz) is missing" in refused(MNIST, tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_mnist_file_is_named(tmp_path: Path, packed: bool) -> None:
    raw = mnist(tmp_path / "MNIST/raw", packed=packed)
    truncate(raw / ("train-images-idx3-ubyte" + ".gz" * packed))
    assert "train-images-idx3-ubyte" in refused(MNIST, tmp_path)


def test_a_file_that_is_no_idx_is_named(tmp_path: Path) -> None:
    raw = mnist(tmp_path / "MNIST/raw")
    (raw / "train-labels-idx1-ubyte").write_text("<html>not found</html>")
    assert "train-labels-idx1-ubyte is no idx file" in refused(MNIST, tmp_path)


def test_pictures_without_labels_are_noticed(tmp_path: Path) -> None:
    raw = mnist(tmp_path / "MNIST/raw")
    write_idx(raw / "t10k-labels-idx1-ubyte", np.zeros(7, np.uint8), packed=False)
    assert "20 pictures but 7 labels" in refused(MNIST, tmp_path)


def test_labels_out_of_range_are_noticed(tmp_path: Path) -> None:
    raw = mnist(tmp_path / "MNIST/raw")
    write_idx(raw / "t10k-labels-idx1-ubyte", np.full(20, 11, np.uint8), packed=False)
    assert "holds the label 11; expected 0 to 9" in refused(MNIST, tmp_path)


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


def test_folders_of_other_classes_are_no_cifar10(tmp_path: Path) -> None:
    for part, name in itertools.product(("train", "test"), ("cat", "dog")):
        draw(tmp_path / part / name / "0.png", 0, 32, 32)
    with pytest.raises(DataError, match="train holds 2 classes, CIFAR-10 has 10: for other pictures, give --data"):
        opened(CIFAR10, tmp_path)


def test_cifar10s_pickles_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py/data_batch_1").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    assert "fetch the binary version, cifar-10-binary.tar.gz" in refused(CIFAR10, tmp_path)


def test_a_missing_or_truncated_cifar10_batch_is_named(tmp_path: Path) -> None:
    folder = cifar_binary(tmp_path / "cifar-10-batches-bin", each=21)
    truncate(folder / "data_batch_3.bin")
    assert "data_batch_3.bin is no batch of CIFAR-10's binary version" in refused(CIFAR10, tmp_path)
    (folder / "data_batch_3.bin").unlink()
    assert "data_batch_3.bin is missing" in refused(CIFAR10, tmp_path)


def test_a_folder_without_cifar10_is_told_the_layout(tmp_path: Path) -> None:
    assert "cifar-10-batches-bin/*.bin, or train/CLASS" in refused(CIFAR10, tmp_path)


def test_a_folder_that_is_not_given_or_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder of pictures is given: name the one that holds MNIST/raw"):
        open_data(MNIST, Placement())
    shutil.rmtree(tmp_path)
    assert f"{tmp_path} is no folder" in refused(MNIST, tmp_path)


def test_a_node_that_lacks_its_pictures_is_told_what_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "bring" not in refused(MNIST, tmp_path / "data")
    (tmp_path / "nowt-bucket").write_text("s3://lab-pictures\n")
    told = refused(MNIST, tmp_path / "data")
    assert f"to bring it to this node, {socket.gethostname()}: rm -f ~/data/.complete; bash ~/nowt/" in told
    assert told.endswith("node.sh s3://lab-pictures")


def test_on_bad_skip_is_refused_where_there_are_no_picture_files(tmp_path: Path) -> None:
    cifar_binary(tmp_path / "cifar-10-batches-bin")
    told = refused(DataConfig("cifar10", on_bad="skip"), tmp_path)
    assert "data.on_bad skip leaves picture files out" in told and "cifar-10-batches-bin has none" in told
    with pytest.raises(ValueError, match="mnist has none: it is for folder, imagenet, cifar10"):
        DataConfig("mnist", on_bad="skip")
