"""MNIST and Fashion-MNIST from their idx files."""

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
from nowt.data.datasets import DatasetSplits, open_data
from tests.support.synthetic_images import mnist, truncate, write_idx

MNIST = DataConfig("mnist")


def opened(config: DataConfig, root: Path) -> DatasetSplits:
    return open_data(config, Placement(store=str(root / "store"), data=str(root)))


def refused(config: DataConfig, root: Path) -> str:
    with pytest.raises(DataError) as caught:
        opened(config, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_mnist_is_read_plain_and_compressed(tmp_path: Path) -> None:
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


def test_fashion_mnist_has_its_own_folder(tmp_path: Path) -> None:
    mnist(tmp_path / "FashionMNIST/raw")
    assert opened(DataConfig("fashion_mnist"), tmp_path).classes == 10
    assert "MNIST/raw/train-images-idx3-ubyte (or" in refused(MNIST, tmp_path)


def test_other_pixels_change_the_fingerprint(tmp_path: Path) -> None:
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


def test_a_file_that_is_not_idx_is_named(tmp_path: Path) -> None:
    raw = mnist(tmp_path / "MNIST/raw")
    (raw / "train-labels-idx1-ubyte").write_text("<html>not found</html>")
    assert "train-labels-idx1-ubyte is not an idx file" in refused(MNIST, tmp_path)


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    raw = mnist(tmp_path / "MNIST/raw")
    write_idx(raw / "t10k-labels-idx1-ubyte", np.zeros(7, np.uint8), packed=False)
    assert "20 images but 7 labels" in refused(MNIST, tmp_path)


def test_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    raw = mnist(tmp_path / "MNIST/raw")
    write_idx(raw / "t10k-labels-idx1-ubyte", np.full(20, 11, np.uint8), packed=False)
    assert "contains the label 11; expected 0 to 9" in refused(MNIST, tmp_path)


def test_a_data_folder_that_is_omitted_or_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data folder is given .*: mnist needs the one that contains MNIST/raw"):
        open_data(MNIST, Placement())
    shutil.rmtree(tmp_path)
    assert f"{tmp_path} is not a folder" in refused(MNIST, tmp_path)


def test_on_a_node_without_its_images_the_message_gives_the_copy_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "copy" not in refused(MNIST, tmp_path / "data")
    (tmp_path / "nowt-bucket").write_text("s3://lab-images\n")
    message = refused(MNIST, tmp_path / "data")
    assert f"to copy it to this node, {socket.gethostname()}, run: rm -f ~/data/.complete; bash ~/nowt/" in message
    assert message.endswith("node.sh s3://lab-images")


def _rename_all(raw: Path, layout: str) -> None:
    """Lay the four files out as archive programs and Kaggle do."""
    for path in list(raw.iterdir()):
        name = path.name.removesuffix(".gz")
        dotted = name.replace("-idx", ".idx") + ".gz" * (path.suffix == ".gz")
        if layout == "dots":
            path.rename(raw / dotted)
        else:
            path.rename(raw / "held")
            (raw / name).mkdir()
            (raw / "held").rename(raw / name / (dotted if layout == "folders with dots" else path.name))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("layout", ["dots", "folders", "folders with dots"])
def test_mnist_is_read_as_archive_programs_and_kaggle_lay_it_out(layout: str, packed: bool, tmp_path: Path) -> None:
    mnist(tmp_path / "plain")
    _rename_all(mnist(tmp_path / "other", packed=packed), layout)
    assert opened(MNIST, tmp_path / "other").fingerprint == opened(MNIST, tmp_path / "plain").fingerprint


def test_files_beside_folders_of_the_same_content_are_read_as_on_kaggle(tmp_path: Path) -> None:
    before = opened(MNIST, mnist(tmp_path)).fingerprint
    _rename_all(tmp_path, "dots")
    _rename_all(mnist(tmp_path / "more"), "folders")
    for path in list((tmp_path / "more").iterdir()):
        path.rename(tmp_path / path.name)
    assert opened(MNIST, tmp_path).fingerprint == before


def test_two_files_that_differ_are_named(tmp_path: Path) -> None:
    mnist(tmp_path)
    write_idx(tmp_path / "train-labels.idx1-ubyte", np.zeros(60, np.uint8), packed=False)
    assert "train-labels-idx1-ubyte and " in refused(MNIST, tmp_path) and "differ" in refused(MNIST, tmp_path)


@pytest.mark.parametrize("name", ["t10k-images (1).bin", "T10K-IMAGES.IDX3-UBYTE", "more/t10k-images-idx3-ubyte.txt"])
def test_a_file_of_another_name_or_place_is_named_for_renaming(name: str, tmp_path: Path) -> None:
    mnist(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / "t10k-images-idx3-ubyte").rename(tmp_path / name)
    assert refused(MNIST, tmp_path).endswith(f"put the file there; is it {tmp_path / name}? Move or rename it")


def test_a_file_that_a_browser_unpacked_under_its_packed_name_is_named_for_renaming(tmp_path: Path) -> None:
    mnist(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").rename(tmp_path / "t10k-images-idx3-ubyte.gz")
    message = refused(MNIST, tmp_path)
    assert "t10k-images-idx3-ubyte.gz is not compressed; rename it to t10k-images-idx3-ubyte, or" in message


def test_the_images_of_the_other_data_set_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nowt.data import mnist as reader

    mnist(tmp_path)
    digest = reader._images(tmp_path, tmp_path, "train").digest()
    monkeypatch.setitem(reader.TRAINING_DIGESTS, digest, "mnist")
    assert opened(MNIST, tmp_path).classes == 10
    message = refused(DataConfig("fashion_mnist"), tmp_path)
    assert "contains the images of mnist, not of fashion_mnist: set data.name to mnist" in message
