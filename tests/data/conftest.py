"""A folder of synthetic images, and a miniature ILSVRC2012 copy whose counts are taken to be the published ones."""

from dataclasses import replace
from pathlib import Path

import pytest

from nowt.data.imagenet.prepare import EDITIONS
from nowt.data.imagenet.published import Counts
from tests.support.synthetic_ilsvrc import tree
from tests.support.synthetic_images import draw, image_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with ``train`` and ``val``, two classes each."""
    return image_folder(tmp_path / "images")


@pytest.fixture
def bitmaps(tmp_path: Path) -> Path:
    """Uncompressed images: other pixels have the same number of bytes."""
    root = image_folder(tmp_path / "images", train=8)
    for path in sorted(root.rglob("*.jpg")):
        draw(path.with_suffix(".bmp"), seed=len(path.read_bytes()))
        path.unlink()
    return root


@pytest.fixture
def published_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published data set has three classes, each with four training and two validation images."""
    small = Counts(classes=3, train=12, val=6, train_per_class=(4, 4), val_per_class=2)
    for name, edition in EDITIONS.items():
        monkeypatch.setitem(EDITIONS, name, replace(edition, counts=small))


@pytest.fixture
def source(tmp_path: Path, published_counts: None) -> Path:
    """A complete copy in class folders."""
    return tree(tmp_path / "ilsvrc")
