"""A miniature ILSVRC2012 copy for each test, whose counts are taken to be the published ones."""

from pathlib import Path

import pytest

from nowt.data.imagenet import published
from tests.support.synthetic_ilsvrc import tree


@pytest.fixture(autouse=True)
def published_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published data set has three classes, each with four training and two validation images."""
    small = {"CLASSES": 3, "TRAIN": 12, "VAL": 6, "VAL_PER_CLASS": 2, "MIN_PER_CLASS": 4, "MAX_PER_CLASS": 4}
    for name, value in small.items():
        monkeypatch.setattr(published, name, value)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A complete copy in class folders."""
    return tree(tmp_path / "ilsvrc")
