"""Which test images each run classified correctly, as a boolean table."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.frames import read_store, read_test_correct
from nowt.store.correct_images import pack_correct, unpack_correct
from tests.support.synthetic_frames import frames_in
from tests.support.synthetic_store import key_of, rules_study, write_store

STUDY = rules_study(names=("bp", "kp"), seeds=2, epochs=1)


def drawn(cell: str, seed: int, images: int = 37) -> NDArray[np.bool_]:
    """Which images are classified correctly, as a pure function of cell and seed."""
    return np.random.default_rng([ord(cell[0]), seed]).random(images) < 0.8


@pytest.mark.parametrize("images", [1, 7, 8, 9, 10_000])
def test_the_images_are_read_back(images: int) -> None:
    correct = drawn("bp", 0, images)
    assert np.array_equal(unpack_correct(pack_correct(correct), images), correct)


def test_a_text_of_other_images_is_refused() -> None:
    with pytest.raises(ValueError, match="test_correct has 2 bytes, which are not those of 20 images"):
        unpack_correct(pack_correct(drawn("bp", 0, 16)), 20)
    with pytest.raises(ValueError, match="test_correct is not base64"):
        unpack_correct("!", 8)


def test_each_run_has_a_row_of_its_images(tmp_path: Path) -> None:
    write_store(tmp_path, STUDY, correct=drawn)
    keys = {(cell, seed): key_of(STUDY, cell, seed) for cell in ("bp", "kp") for seed in (0, 1)}
    correct = read_test_correct(frames_in(tmp_path))
    assert list(correct.index) == list(keys.values()) and correct.shape == (4, 37)
    for run, key in keys.items():
        assert np.array_equal(correct.loc[key], drawn(*run))
    both = [keys["kp", 1], keys["bp", 0]]
    assert read_test_correct(read_store(tmp_path), both).equals(correct.loc[both])


def test_runs_of_earlier_versions_and_diverged_runs_have_no_row(tmp_path: Path) -> None:
    write_store(tmp_path, STUDY, correct=drawn, diverged={("kp", 0): 0})
    assert len(read_test_correct(frames_in(tmp_path))) == 3
    write_store(tmp_path / "earlier", STUDY)
    assert read_test_correct(frames_in(tmp_path / "earlier")).shape == (0, 0)


def test_runs_with_other_numbers_of_images_are_not_put_into_one_table(tmp_path: Path) -> None:
    write_store(tmp_path, STUDY, correct=lambda cell, seed: drawn(cell, seed, 20 + (cell == "kp")))
    with pytest.raises(
        ValueError, match=r"run \w+ has 20 test images and run \w+ has 21: give the runs of one data set"
    ):
        read_test_correct(frames_in(tmp_path))


def test_a_damaged_text_is_named(tmp_path: Path) -> None:
    write_store(tmp_path, STUDY, correct=drawn)
    log = tmp_path / "logs" / f"{key_of(STUDY, 'bp', 0)}.jsonl"
    log.write_text(log.read_text().replace('"test_images": 37', '"test_images": 99'))
    with pytest.raises(ValueError, match=f"{log.name} has an invalid test_correct"):
        read_test_correct(frames_in(tmp_path))
