"""A folder of synthetic images."""

from pathlib import Path

import pytest

from tests.support.synthetic_images import image_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with ``train`` and ``val``, two classes each."""
    return image_folder(tmp_path / "images")
