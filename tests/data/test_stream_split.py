"""Training on image files: random resized crops that depend only on seed, epoch, image and repeat."""

import gc
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.core.seeding import Seeds
from nowt.data.datasets import DatasetSplits, open_data
from nowt.data.splits import probe_batch
from nowt.data.stream_split import StreamSplit
from tests.support.synthetic_images import draw, image_folder, truncate

SEEDS = Seeds().resolve(0)


CROPS = DataConfig("folder", size=16, augment="resized_crop")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return image_folder(tmp_path / "images")


def opened(root: Path, config: DataConfig = CROPS, loaders: int = 0) -> DatasetSplits:
    return open_data(config, Placement(store=str(root.parent / "store"), data=str(root), loaders=loaders))


def shown(data: DatasetSplits, epoch: int = 0, start: int = 0, batch: int = 8) -> torch.Tensor:
    batches = data.train.batches(batch, seeds=SEEDS, epoch=epoch, start=start, drop_last=True)
    return torch.cat([x for x, _ in batches])


def test_crops_do_not_depend_on_the_number_of_loaders(root: Path) -> None:
    alone = shown(opened(root))
    assert alone.shape == (32, 3, 16, 16)
    assert all(torch.equal(shown(opened(root, loaders=n)), alone) for n in (1, 2))


def test_the_loader_processes_stay_over_the_epochs_and_end_with_the_data(root: Path) -> None:
    data = opened(root, loaders=1)
    batches = [shown(data), shown(data, epoch=1)]
    assert all(torch.equal(one, shown(opened(root), epoch)) for epoch, one in enumerate(batches))
    assert isinstance(data.train, StreamSplit) and data.train._running is not None
    processes = data.train._running.loader._iterator._workers  # type: ignore[union-attr]
    assert [process.is_alive() for process in processes] == [True]
    shown(data, epoch=2)
    assert data.train._running.loader._iterator._workers is processes  # type: ignore[union-attr]
    gc.disable()  # they end at once, although a process that trains runs may not collect garbage for hours
    del data
    gc.enable()
    assert [process.is_alive() for process in processes] == [False]


def test_a_script_without_a_main_guard_may_use_loader_processes(root: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
from nowt import Placement
from nowt.core.seeding import Seeds
from nowt.data.datasets import open_data
from nowt.config.run_config import DataConfig

print("once")
config = DataConfig("folder", size=16, augment="resized_crop")
data = open_data(config, Placement(store={str(tmp_path / "store")!r}, data={str(root)!r}, loaders=1))
print(sum(len(y) for _, y in data.train.batches(8, seeds=Seeds().resolve(0))))
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.stdout.split() == ["once", "36"], done.stderr


def test_streaming_does_not_use_the_global_generator(root: Path) -> None:
    before = torch.random.get_rng_state()
    shown(opened(root))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_streamed_epoch_resumed_in_the_middle_continues_exactly(root: Path) -> None:
    data = opened(root)
    assert torch.equal(shown(data, start=2), shown(data)[16:])
    assert list(data.train.batches(8, seeds=SEEDS, start=4, drop_last=True)) == []


def test_crops_change_with_epoch_and_repeat(root: Path) -> None:
    data = opened(root, replace(CROPS, repeat=2))
    assert not torch.equal(shown(data), shown(data, epoch=1))
    everything = shown(data, batch=72)
    assert len(everything.flatten(1).unique(dim=0)) == 72


def test_half_of_the_crops_are_flipped(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images", train=40)
    left_to_right = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], (60, 60, 3))
    for path in root.glob("train/*/*.jpg"):
        Image.fromarray(left_to_right).save(path)
    x = shown(opened(root), batch=72)
    flipped = (x[..., 0] > x[..., -1]).flatten(1).float().mean(1)
    assert set(flipped.tolist()) == {0.0, 1.0} and 0.3 < flipped.mean() < 0.7


def test_evaluation_with_resized_crops_uses_the_center(root: Path) -> None:
    for name in ("cat", "dog"):
        draw(root / "val" / name / "large.png", width=256, height=256)
    inner = opened(root, replace(CROPS, size=224)).test
    outer = opened(root, replace(CROPS, size=256, augment="none")).test
    assert inner is not None and outer is not None
    (x, _), (y, _) = (next(iter(split.batches(5, drop_last=False))) for split in (inner, outer))
    assert torch.allclose(x[4], y[4][:, 16:240, 16:240], atol=1e-4)
    full = opened(root, replace(CROPS, size=224, augment="none")).test
    assert full is not None
    assert not torch.equal(next(iter(full.batches(5, drop_last=False)))[0][4], x[4])


def test_the_probe_batch_of_streamed_images_is_not_augmented(root: Path) -> None:
    x, y = probe_batch(opened(root).train, 6)
    assert torch.equal(x, probe_batch(opened(root).train, 6)[0]) and torch.bincount(y).tolist() == [3, 3]
    plain = next(iter(opened(root).train.batches(36, drop_last=False)))[0]
    assert all((plain == image).flatten(1).all(1).any() for image in x)


@pytest.mark.parametrize("loaders", [0, 1])
def test_a_truncated_image_in_the_stream_is_named_in_one_line(root: Path, loaders: int) -> None:
    path = truncate(root / "train" / "cat" / "000.jpg")
    data = opened(root, loaders=loaders)
    with pytest.raises(DataError) as caught:
        shown(data, batch=12)
    assert str(path) in str(caught.value) and "set data.on_bad to skip" in str(caught.value)
    assert "\n" not in str(caught.value)
