"""The manifest of a prepared copy: same data as listing the folder, and damaged manifests."""

import os
import shutil
from pathlib import Path

import pytest

from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.data import cache, image_folder
from nowt.data.datasets import open_data
from tests.support.prepare_command import placement, run_prepare
from tests.support.synthetic_ilsvrc import wnids
from tests.support.synthetic_images import draw

IMAGENET = DataConfig("imagenet", size=16, augment="resized_crop")


def test_a_prepared_copy_is_opened_from_its_manifest_with_the_same_fingerprint(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = run_prepare(source)
    listed = open_data(IMAGENET, placement(source))

    def never(*_: object) -> None:
        raise AssertionError("the folder was listed, or every image was decoded")

    monkeypatch.setattr(image_folder, "_images", never)
    monkeypatch.setattr(cache, "broken_images", never)
    data = open_data(IMAGENET, placement(target))
    assert data.fingerprint == listed.fingerprint and data.classes == 3
    assert (len(data.train), len(data.val), len(data.test or ())) == (11, 1, 6)
    assert open_data(DataConfig("imagenet", size=16, on_bad="skip"), placement(target)).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "pictures.tsv").write_bytes(b"{}\n"), "is damaged: run nowt data prepare again"),
        (lambda root: os.truncate(root / "pictures.tsv", 300), "is damaged: run nowt data prepare again"),
        (lambda root: shutil.rmtree(root / "train" / wnids(1)[0]), "is missing or does not match"),
        (lambda root: draw(root / "train/n09999999/a.JPEG", seed=1), "n09999999 does not match"),
    ],
)
def test_a_manifest_that_no_longer_matches_the_folder_is_named(damage: object, message: str, source: Path) -> None:
    target = run_prepare(source)
    damage(target)  # type: ignore[operator]
    with pytest.raises(DataError, match=message) as caught:
        open_data(IMAGENET, placement(target))
    assert "\n" not in str(caught.value)
