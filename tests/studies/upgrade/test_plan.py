"""A run gets today's key exactly if its settings, images and code are shown to be equal; otherwise nowt says why."""

import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nowt.config.placement import Placement
from nowt.config.run_config import OptimConfig, RunConfig
from nowt.config.run_key import LOOP_NUMERICS, run_key
from nowt.data.earlier import identify
from nowt.rules.registry import find_rule
from nowt.studies.upgrade.plan import Plan, plan_upgrade
from tests.support.earlier_store import LAYERS, epoch, first_line, write_earlier_run
from tests.support.image_folders import FOLDER
from tests.support.image_folders import placement as folder_placement
from tests.support.synthetic_images import draw, image_folder

KP = RunConfig(rule=find_rule("kp")())

IMAGES = RunConfig(data=FOLDER)


def planned(store: Path, data: Path | None = None) -> Plan:
    return plan_upgrade(store, Placement(store=str(store), data=str(data or ""), loaders=1))


def reason(store: Path, data: Path | None = None) -> str:
    """Why the only run of the store is not upgraded."""
    plan = planned(store, data)
    assert not plan.upgraded
    [kept] = plan.kept
    assert "\n" not in kept.reason
    return kept.reason


@pytest.mark.parametrize("config", [RunConfig(), KP, replace(KP, optim=OptimConfig(lr=0.2), seed=3)])
@pytest.mark.parametrize("state", ["finished", "running", "failed"])
def test_a_run_of_built_in_code_gets_todays_key(tmp_path: Path, config: RunConfig, state: str) -> None:
    key = write_earlier_run(tmp_path, config, state=state)
    [found] = planned(tmp_path).upgraded
    assert found.earlier == key
    assert found.key == run_key(config, first_line(tmp_path, key)["fingerprint"]) != key


def test_what_a_first_line_says_from_then_on(tmp_path: Path) -> None:
    key = write_earlier_run(tmp_path, KP)
    [found] = planned(tmp_path).upgraded
    before = first_line(tmp_path, key)
    assert found.start["earlier"] == [{"key": key, "fingerprint": before["fingerprint"], "loop": 1}]
    assert found.start["code"]["loop"] == LOOP_NUMERICS
    assert found.start["config"] == before["config"]


def test_runs_of_today_are_left_alone(tmp_path: Path) -> None:
    write_earlier_run(tmp_path, KP, code={"loop": LOOP_NUMERICS})
    assert planned(tmp_path) == Plan((), (), 1)


def test_a_key_that_does_not_follow_from_the_settings_is_not_trusted(tmp_path: Path) -> None:
    key = write_earlier_run(tmp_path, KP)
    path = tmp_path / "logs" / f"{key}.jsonl"
    path.write_text(path.read_text().replace('"batch": 64', '"batch": 32'))
    assert reason(tmp_path) == "its key does not follow from its settings: another version of nowt wrote it"


def test_settings_that_no_longer_exist_are_named(tmp_path: Path) -> None:
    key = write_earlier_run(tmp_path, KP)
    path = tmp_path / "logs" / f"{key}.jsonl"
    path.write_text(path.read_text().replace('"batch": 64', '"batch": 64, "former": 1'))
    assert "former" in reason(tmp_path)


def test_a_run_that_was_trained_again_keeps_its_former_log(tmp_path: Path) -> None:
    write_earlier_run(tmp_path, KP)
    [found] = planned(tmp_path).upgraded
    again = {**first_line(tmp_path, found.earlier), "key": found.key, "code": found.start["code"]}
    (tmp_path / "logs" / f"{found.key}.jsonl").write_text(json.dumps(again) + "\n")
    assert reason(tmp_path) == f"it was trained again as run {found.key}"


def test_a_former_log_that_a_merge_brings_back_is_not_upgraded_again(tmp_path: Path) -> None:
    key = write_earlier_run(tmp_path, KP)
    [found] = planned(tmp_path).upgraded
    first = {**first_line(tmp_path, key), **found.start, "key": found.key}
    (tmp_path / "logs" / f"{found.key}.jsonl").write_text(json.dumps(first) + "\n")
    assert reason(tmp_path) == f"run {found.key} has its content already"


def test_a_diverged_run_with_angles_is_not_upgraded(tmp_path: Path) -> None:
    write_earlier_run(tmp_path, KP, epochs=(epoch(0, layers=LAYERS),), state="diverged")
    assert "it diverged" in reason(tmp_path)


def test_a_diverged_run_without_angles_is_upgraded(tmp_path: Path) -> None:
    write_earlier_run(tmp_path, RunConfig(), epochs=(epoch(0),), state="diverged")
    assert len(planned(tmp_path).upgraded) == 1


def test_a_run_whose_network_exploded_is_not_upgraded(tmp_path: Path) -> None:
    write_earlier_run(tmp_path, KP, epochs=(epoch(0, layers=LAYERS), epoch(1, loss=1e7, layers=LAYERS)))
    assert "its network exploded" in reason(tmp_path)
    other = tmp_path / "other"
    write_earlier_run(other, KP, epochs=(epoch(0, layers=(replace(LAYERS[0], norm_ratio=1e9),)),))
    assert "its network exploded" in reason(other)


def test_a_run_in_which_a_layer_lost_its_error_signal_is_not_upgraded(tmp_path: Path) -> None:
    lost = (replace(LAYERS[0], delta_angle=math.nan), LAYERS[1])
    write_earlier_run(tmp_path, KP, epochs=(epoch(0, layers=LAYERS), epoch(1, layers=LAYERS), epoch(2, layers=lost)))
    assert "lost their error signal" in reason(tmp_path)
    other = tmp_path / "other"  # as with batch norm's γ of 0
    write_earlier_run(other, KP, epochs=(epoch(0, layers=lost), epoch(1, layers=LAYERS), epoch(2, layers=LAYERS)))
    assert len(planned(other).upgraded) == 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Bitmaps, all of one size in bytes, that were written an hour ago."""
    root = image_folder(tmp_path / "images", train=8)
    for path in sorted(root.rglob("*.jpg")):
        draw(path.with_suffix(".bmp"), seed=path.stat().st_size)
        path.unlink()
    age(root)
    return root


def age(root: Path) -> None:
    """Make all images an hour old."""
    for path in root.rglob("*.*"):
        if path.is_file():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3600))


def earlier_run_on(root: Path, store: Path) -> str:
    return write_earlier_run(store, IMAGES, identify(FOLDER, folder_placement(root)))


def test_a_run_on_images_gets_the_key_of_their_content(root: Path, tmp_path: Path) -> None:
    earlier_run_on(root, tmp_path)
    [found] = planned(tmp_path, root).upgraded
    assert found.key == run_key(IMAGES, identify(FOLDER, folder_placement(root)).fingerprint)


def test_a_copy_of_the_images_with_their_times_will_do(root: Path, tmp_path: Path) -> None:
    earlier_run_on(root, tmp_path)
    copy = shutil.copytree(root, tmp_path / "copy")
    shutil.rmtree(root)
    assert len(planned(tmp_path, copy).upgraded) == 1


def test_other_pixels_under_the_same_names_and_sizes_are_noticed(root: Path, tmp_path: Path) -> None:
    earlier_run_on(root, tmp_path)
    size = (root / "train/cat/000.bmp").stat().st_size
    draw(root / "train/cat/000.bmp", seed=12345)
    assert (root / "train/cat/000.bmp").stat().st_size == size
    assert reason(tmp_path, root).startswith("train/cat/000.bmp was written after the run began")


def test_other_images_are_not_those_of_the_run(root: Path, tmp_path: Path) -> None:
    earlier_run_on(root, tmp_path)
    (root / "train/cat/000.bmp").unlink()
    assert reason(tmp_path, root) == f"the images in {root} are not those of the run"


def test_without_a_folder_of_images_it_is_asked_for(root: Path, tmp_path: Path) -> None:
    earlier_run_on(root, tmp_path)
    assert reason(tmp_path) == "its images are not available: give --data-dir, the folder of folder"
    assert "nowhere is not a folder" in reason(tmp_path, Path("nowhere"))


def test_images_whose_conversion_has_changed_are_named(root: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 30), 0.5, np.float32)).save(root / "val/cat/float.tif")
    age(root)
    earlier_run_on(root, tmp_path)
    assert reason(tmp_path, root) == (
        "1 image with more than 8 bits, such as val/cat/float.tif, had other pixels in the earlier version"
    )
