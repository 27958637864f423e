"""A data folder with a data set as it is distributed: the message says what it is and how to use it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nowt.config.run_config import DataConfig
from tests.support.image_folders import opened, refused
from tests.support.synthetic_ilsvrc import flatten_val, pack, pack_classes, solution, tree
from tests.support.synthetic_images import cifar_binary, mnist
from tests.support.tiny_imagenet import packed, tiny_imagenet

NAMES = ("folder", "imagenet", "cifar10", "mnist", "fashion_mnist")


def config_of(name: str) -> DataConfig:
    return DataConfig(name, size=16)  # type: ignore[arg-type]


def tars(root: Path) -> Path:
    flatten_val(tree(root))
    pack(root / "val", root / "ILSVRC2012_img_val.tar")
    pack_classes(root, outer=True)
    return root


def class_tars(root: Path) -> Path:
    pack_classes(tree(root))
    return root


def flat_val(root: Path) -> Path:
    flatten_val(tree(root))
    return root


def written(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"content")
    return path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", ["unpacked", "above", "zip", "folder of the zip"])
def test_tiny_imagenet_is_to_be_prepared(layout: str, name: str, tmp_path: Path) -> None:
    root = tiny_imagenet(tmp_path / "my data/tiny-imagenet-200")
    above = root.parent
    place = {"unpacked": root, "above": above, "folder of the zip": above}.get(layout) or packed(root)
    if layout == "folder of the zip":
        packed(root)
    use = "" if name in ("folder", "imagenet") else " and set data.name to folder"
    assert refused(place, config_of(name)) == (
        f"{place} contains Tiny ImageNet as it is distributed: run nowt data prepare tiny-imagenet '{place}' DST, then "
        f"give DST as the data folder{use}"
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", [tars, class_tars, flat_val])
def test_imagenet_is_to_be_prepared(layout: Callable[[Path], Path], name: str, tmp_path: Path) -> None:
    root = layout(tmp_path / "ilsvrc")
    message = refused(root, config_of(name))
    assert f"{root} contains ImageNet as it is distributed: run nowt data prepare imagenet {root} DST, then" in message


def test_the_folder_with_the_labels_is_prepared_for_the_inner_folder_of_the_competitions_download(
    tmp_path: Path,
) -> None:
    source = tmp_path / "download"
    inner = source / "ILSVRC/Data/CLS-LOC"
    inner.parent.mkdir(parents=True)
    solution(source, flatten_val(tree(inner)))
    for root in (source, inner):
        message = refused(root, config_of("imagenet"))
        assert message.startswith(f"{root} contains ImageNet as it is distributed: ")
        assert f"run nowt data prepare imagenet {source} DST" in message


def test_a_tar_of_imagenet_is_prepared_from_its_folder(tmp_path: Path) -> None:
    root = tars(tmp_path / "ilsvrc")
    message = refused(root / "ILSVRC2012_img_train.tar", config_of("imagenet"))
    assert f"run nowt data prepare imagenet {root} DST" in message


@pytest.mark.parametrize("file", ["cifar-10-batches-py/data_batch_1", "data_batch_1", "cifar-10-python.tar.gz"])
def test_the_python_version_of_cifar10_is_refused(file: str, tmp_path: Path) -> None:
    written(tmp_path / file)
    expected = f"{tmp_path} contains the Python version of CIFAR-10, pickles, which can run code and are not opened: "
    message = refused(tmp_path, config_of("folder"))
    assert message.startswith(f"{expected}download the binary version, cifar-10-binary.tar.gz, and unpack it there")
    assert message.endswith(" and set data.name to cifar10")
    assert "cifar-10-binary.tar.gz" in refused(tmp_path, config_of("cifar10"))


def test_the_binary_version_of_cifar10_is_named_by_other_data_sets(tmp_path: Path) -> None:
    cifar_binary(tmp_path / "cifar-10-batches-bin")
    for name in ("folder", "imagenet", "mnist"):
        assert refused(tmp_path, config_of(name)) == f"{tmp_path} contains CIFAR-10: set data.name to cifar10"
    assert opened(tmp_path, config_of("cifar10")).classes == 10


def test_the_packed_binary_version_of_cifar10_is_to_be_unpacked(tmp_path: Path) -> None:
    file = written(tmp_path / "cifar-10-binary.tar.gz")
    for place in (tmp_path, file):
        for name, use in (("cifar10", ""), ("folder", " and set data.name to cifar10")):
            unpack = "unpack it, then give the folder with its files as the data folder"
            assert refused(place, config_of(name)) == f"{place} contains cifar-10-binary.tar.gz: {unpack}{use}"


@pytest.mark.parametrize(
    ("below", "names"),
    [("", "mnist or fashion_mnist"), ("MNIST/raw", "mnist"), ("FashionMNIST/raw", "fashion_mnist")],
)
def test_idx_files_are_named_by_other_data_sets(below: str, names: str, tmp_path: Path) -> None:
    mnist(tmp_path / below, packed=True)
    for name in ("folder", "imagenet", "cifar10"):
        expected = f"{tmp_path} contains images of MNIST or Fashion-MNIST: set data.name to {names}"
        assert refused(tmp_path, config_of(name)) == expected


def test_an_idx_file_in_place_of_its_folder_names_the_folder(tmp_path: Path) -> None:
    file = mnist(tmp_path, packed=True) / "train-images-idx3-ubyte.gz"
    assert refused(file, config_of("mnist")).endswith(f"Fashion-MNIST: give {tmp_path} as the data folder")
    assert f": set data.name to mnist or fashion_mnist and give {tmp_path} as the" in refused(file, config_of("folder"))


def test_an_idx_file_under_another_name_is_still_named_for_renaming(tmp_path: Path) -> None:
    mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").rename(tmp_path / "train-labels")
    assert f"is it {tmp_path}/train-labels? Move or rename it" in refused(tmp_path, config_of("mnist"))


def test_what_is_readable_is_read_whatever_else_lies_beside_it(tmp_path: Path) -> None:
    root = tree(tmp_path / "images", train=10)
    written(root / "val_annotations.txt")
    written(root / "tiny-imagenet-200.zip")
    written(root / "ILSVRC2012_img_train.tar")
    assert opened(root, config_of("folder")).classes == 3
