"""A folder of synthetic images, and a miniature ILSVRC2012 copy whose counts are taken to be the published ones."""

from pathlib import Path

import pytest

from nowt.data.imagenet import published
from tests.support.synthetic_ilsvrc import tree
from tests.support.synthetic_images import image_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with ``train`` and ``val``, two classes each."""
    return image_folder(tmp_path / "images")


@pytest.fixture
def published_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published data set has three classes, each with four training and two validation images."""
    small = {"CLASSES": 3, "TRAIN": 12, "VAL": 6, "VAL_PER_CLASS": 2, "MIN_PER_CLASS": 4, "MAX_PER_CLASS": 4}
    for name, value in small.items():
        monkeypatch.setattr(published, name, value)


@pytest.fixture
def source(tmp_path: Path, published_counts: None) -> Path:
    """A complete copy in class folders."""
    return tree(tmp_path / "ilsvrc")
