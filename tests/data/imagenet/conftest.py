"""A miniature ILSVRC2012 copy for each test, whose counts are taken to be the published ones."""

from dataclasses import replace
from pathlib import Path

import pytest

from nowt.data.imagenet.prepare import EDITIONS
from nowt.data.imagenet.published import Counts
from tests.support.synthetic_ilsvrc import tree


@pytest.fixture(autouse=True)
def published_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published data set has three classes, each with four training and two validation images."""
    small = Counts(classes=3, train=12, val=6, train_per_class=(4, 4), val_per_class=2)
    for name, edition in EDITIONS.items():
        monkeypatch.setitem(EDITIONS, name, replace(edition, counts=small))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A complete copy in class folders."""
    return tree(tmp_path / "ilsvrc")
