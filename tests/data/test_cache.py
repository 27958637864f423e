"""The pixel cache and the list of broken images in the store."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch

from nowt.core.process_identity import host_name
from nowt.data import cache
from nowt.data.images import ImageFiles
from tests.support.ended_processes import ended_process
from tests.support.image_folders import FOLDER, in_order, opened, refused
from tests.support.synthetic_images import truncate


def test_score_limit_prepares_only_the_images_that_are_scored(root: Path) -> None:
    data = opened(root, replace(FOLDER, score_limit=2))
    assert [np.bincount(split.labels).tolist() for split in (data.val, data.test) if split is not None] == [[1, 1]] * 2
    prepared = sorted(path.stat().st_size // (3 * 16**2) for path in (root.parent / "store/cache").glob("*.pixels"))
    assert prepared == [2, 2, 36]
    assert len(in_order(data.test)) == 2


def test_a_second_opening_reads_the_cache_instead_of_the_images(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(root)
    monkeypatch.delattr(ImageFiles, "decode")
    second = opened(root)
    assert isinstance(second.train.pixels, np.memmap)  # type: ignore[attr-defined]
    assert all(torch.equal(in_order(a), in_order(b)) for a, b in ((first.train, second.train), (first.val, second.val)))


def test_each_size_has_its_own_cache(root: Path) -> None:
    assert in_order(opened(root).val).shape[2:] == (16, 16)
    assert in_order(opened(root, replace(FOLDER, size=24)).val).shape[2:] == (24, 24)


def test_simultaneous_openings_prepare_the_images_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, real = [], ImageFiles.decode

    def counted(files: ImageFiles, index: int, *args: Any, **more: Any) -> np.ndarray:
        decoded.append(files.names[index])
        return real(files, index, *args, **more)

    monkeypatch.setattr(ImageFiles, "decode", counted)
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(lambda _: opened(root), range(4)))
    assert len(decoded) == 48
    assert all(torch.equal(in_order(data.train), in_order(several[0].train)) for data in several)
    kinds = sorted(path.suffix for path in (root.parent / "store/cache").iterdir())
    assert [kind for kind in kinds if kind != ".npz"] == [".lock"] * 4 + [".pixels"] * 3


def test_the_incomplete_file_of_a_killed_process_is_replaced(root: Path) -> None:
    expected = in_order(opened(root).train)
    for path in (root.parent / "store/cache").glob("*.pixels"):
        path.with_name(f"{path.name}.{host_name()}-{ended_process()}-1.tmp").write_bytes(path.read_bytes()[:100])
        path.unlink()
    assert torch.equal(in_order(opened(root).train), expected)
    assert not [*(root.parent / "store/cache").glob("*.tmp")]


def test_two_writers_of_one_file_do_not_disturb_each_other(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system whose locks other hosts do not see."""
    monkeypatch.setattr("nowt.data.cache.turn", lambda path, work: nullcontext())
    path = root / "a.pixels"
    with ThreadPoolExecutor(1) as pool:

        def write(file: BinaryIO) -> None:
            file.write(b"first half, ")
            pool.submit(cache._write_once, path, lambda other: other.write(b"theirs")).result()  # type: ignore[arg-type,return-value]
            assert path.read_bytes() == b"theirs"
            file.write(b"second half")

        cache._write_once(path, write)
    assert path.read_bytes() == b"first half, second half"
    assert not [*root.glob("*.tmp")]


def test_a_damaged_cache_file_is_named(root: Path) -> None:
    opened(root)
    for path in (root.parent / "store/cache").glob("*.pixels"):
        truncate(path)
    message = refused(root)
    assert "bytes; expected" in message and "delete it" in message


def test_the_list_of_broken_images_is_cached(root: Path) -> None:
    truncate(root / "train/cat/001.jpg")
    opened(root, replace(FOLDER, on_bad="skip"))
    lists = [json.loads(path.read_text()) for path in (root.parent / "store/cache").glob("*.json")]
    assert [list(found) for found in lists if found] == [["train/cat/001.jpg"]]


def test_an_upgrade_of_pillow_prepares_the_images_again_and_names_the_earlier_files(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(root)
    earlier = sorted((root.parent / "store/cache").glob("*.pixels"))
    assert "another version" not in capsys.readouterr().err
    monkeypatch.setattr("PIL.__version__", "0.1")
    monkeypatch.setattr(ImageFiles, "decode", lambda files, index, size, choose_box: np.full((3, size, size), 7, "u1"))
    assert {int(value) for value in np.unique(opened(root).test.pixels)} == {7}  # type: ignore[union-attr]
    (line,) = capsys.readouterr().err.splitlines()
    assert "3 files (0.00 GB) of images that another version of nowt, of Pillow" in line
    subprocess.run(["bash", "-c", "rm" + line.rpartition(": rm")[2]], check=True)
    assert not any(path.exists() for path in earlier) and len([*(root.parent / "store/cache").glob("*.pixels")]) == 3


def test_another_library_of_the_same_pillow_is_another_decoder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(root)
    monkeypatch.setattr("PIL.features.version", lambda name: "0.1")
    opened(root)
    assert len([*(root.parent / "store/cache").glob("*.pixels")]) == 6


def test_an_upgrade_of_pillow_checks_for_broken_images_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(FOLDER, on_bad="skip")
    assert not opened(root, config).skipped
    monkeypatch.setattr("PIL.__version__", "0.1")
    monkeypatch.setattr(cache, "_reason", lambda files, index: "too new" if "cat/001" in files.names[index] else None)
    assert opened(root, config).skipped == ("train/cat/001.jpg: too new", "val/cat/001.jpg: too new")
