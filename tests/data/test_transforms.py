"""Augmentation: shifts, flips and resized crops, and that nothing but their seed decides them."""

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
from nowt.data.counter_rng import uniforms
from nowt.data.datasets import Data, open_data
from nowt.data.splits import probe_batch
from nowt.data.transforms import random_box, shift_flip
from tests.support.drawn_images import draw, image_folder, truncate

SEEDS = Seeds().resolve(0)

CROPS = DataConfig("folder", size=16, augment="resized_crop")

FEW_CORES = pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:.*multi-threaded.*fork")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return image_folder(tmp_path / "pictures")


def opened(root: Path, config: DataConfig = CROPS, loaders: int = 0) -> Data:
    return open_data(config, Placement(store=str(root.parent / "store"), data=str(root), loaders=loaders))


def shown(data: Data, epoch: int = 0, start: int = 0, batch: int = 8) -> torch.Tensor:
    batches = data.train.batches(batch, seeds=SEEDS, epoch=epoch, start=start, drop_last=True)
    return torch.cat([x for x, _ in batches])


def moved(x: torch.Tensor, down: float, right: float, mirror: float, shift: int, flip: bool) -> torch.Tensor:
    return shift_flip(x, np.tile([down, right, mirror], (len(x), 1)), shift, flip)


def test_draws_are_uniform_and_unrelated() -> None:
    draws = uniforms(7, np.arange(20_000), np.zeros(20_000, np.int64), 3)
    assert draws.min() >= 0 and draws.max() < 1
    assert np.abs(draws.mean(0) - 0.5).max() < 0.01 and np.abs(draws.var(0) - 1 / 12).max() < 0.002
    related = np.corrcoef(np.hstack([draws[:-1], draws[1:]]).T) - np.eye(6)
    assert np.abs(related).max() < 0.03


def test_a_draw_depends_on_the_picture_not_on_its_place() -> None:
    pictures, repeats = np.arange(50), np.arange(50) % 3
    order = np.random.default_rng(0).permutation(50)
    together = uniforms(7, pictures, repeats, 5)
    assert np.array_equal(uniforms(7, pictures[order], repeats[order], 5), together[order])
    assert np.array_equal(uniforms(7, pictures, repeats, 2), together[:, :2])


def test_key_picture_and_repeat_each_change_the_draws() -> None:
    one, zero = np.array([1]), np.array([0])
    draws = [uniforms(k, p, r, 1).item() for k in (0, 1) for p in (zero, one) for r in (zero, one)]
    assert len(set(draws)) == 8


def test_a_shift_moves_the_picture_and_lets_zeros_in() -> None:
    x = torch.arange(1.0, 65).view(1, 1, 8, 8)
    assert torch.equal(moved(x, 0.5, 0.5, 0.0, 1, False), x)
    up_left = moved(x, 0.99, 0.99, 0.0, 1, False)
    assert torch.equal(up_left[..., :-1, :-1], x[..., 1:, 1:])
    assert up_left[..., -1, :].eq(0).all() and up_left[..., -1].eq(0).all()


def test_a_flip_mirrors_half_of_the_pictures() -> None:
    x = torch.rand(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(moved(x, 0, 0, 0.4, 0, True), x.flip(3))
    assert torch.equal(moved(x, 0, 0, 0.6, 0, True), x)
    assert torch.equal(moved(x, 0, 0, 0.4, 0, False), x)


def test_each_picture_of_a_batch_moves_by_its_own() -> None:
    x = torch.rand(40, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    draws = uniforms(1, np.arange(40), np.zeros(40, np.int64), 3)
    alone = [shift_flip(x[i : i + 1], draws[i : i + 1], 2, True) for i in range(40)]
    assert torch.equal(shift_flip(x, draws, 2, True), torch.cat(alone))


def test_shifts_reach_every_offset_alike() -> None:
    x = torch.zeros(5000, 1, 8, 8)
    x[:, :, 4, 4] = 1
    spots = shift_flip(x, uniforms(3, np.arange(5000), np.zeros(5000, np.int64), 3), 1, False)
    counts = spots.sum((0, 1))[3:6, 3:6]
    assert counts.sum() == 5000 and (counts - 5000 / 9).abs().max() < 100


def test_crops_have_the_areas_and_ratios_asked_for() -> None:
    draws = uniforms(5, np.arange(2000), np.zeros(2000, np.int64), 23)
    boxes = [random_box(400, 300, row) for row in draws]
    width, height = (np.array([b[i + 2] - b[i] for b, _ in boxes]) for i in (0, 1))
    assert all(0 <= b[0] < b[2] <= 400 and 0 <= b[1] < b[3] <= 300 for b, _ in boxes)
    areas, ratios = width * height / 120_000, width / height
    assert 0.075 < areas.min() < 0.1 and areas.max() > 0.9 and ratios.min() > 0.74 and ratios.max() < 1.35
    assert abs(np.mean([mirrored for _, mirrored in boxes]) - 0.5) < 0.04


def test_a_picture_that_no_crop_fits_gives_its_centre() -> None:
    (left, upper, right, lower), _ = random_box(1000, 10, np.full(23, 0.9))
    assert (upper, lower) == (0, 10) and right - left == pytest.approx(40 / 3) and left + right == 1000


@FEW_CORES
def test_crops_do_not_depend_on_the_number_of_loaders(root: Path) -> None:
    alone = shown(opened(root))
    assert alone.shape == (32, 3, 16, 16)
    assert all(torch.equal(shown(opened(root, loaders=n)), alone) for n in (1, 2))


def test_streaming_leaves_the_global_generator_alone(root: Path) -> None:
    before = torch.random.get_rng_state()
    shown(opened(root))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_streamed_epoch_begun_in_its_middle_goes_on_exactly(root: Path) -> None:
    data = opened(root)
    assert torch.equal(shown(data, start=2), shown(data)[16:])
    assert list(data.train.batches(8, seeds=SEEDS, start=4, drop_last=True)) == []


def test_crops_change_with_epoch_and_repeat(root: Path) -> None:
    data = opened(root, replace(CROPS, repeat=2))
    assert not torch.equal(shown(data), shown(data, epoch=1))
    everything = shown(data, batch=72)
    assert len(everything.flatten(1).unique(dim=0)) == 72


def test_half_of_the_crops_are_mirrored(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "pictures", train=40)
    left_to_right = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], (60, 60, 3))
    for path in root.glob("train/*/*.jpg"):
        Image.fromarray(left_to_right).save(path)
    x = shown(opened(root), batch=72)
    mirrored = (x[..., 0] > x[..., -1]).flatten(1).float().mean(1)
    assert set(mirrored.tolist()) == {0.0, 1.0} and 0.3 < mirrored.mean() < 0.7


def test_evaluation_under_resized_crops_sees_the_centre(root: Path) -> None:
    for name in ("cat", "dog"):
        draw(root / "val" / name / "large.png", width=256, height=256)
    inner = opened(root, replace(CROPS, size=224)).test
    outer = opened(root, replace(CROPS, size=256, augment="none")).test
    assert inner is not None and outer is not None
    (x, _), (y, _) = (next(iter(split.batches(5, drop_last=False))) for split in (inner, outer))
    assert torch.allclose(x[4], y[4][:, 16:240, 16:240], atol=1e-4)
    whole = opened(root, replace(CROPS, size=224, augment="none")).test
    assert whole is not None
    assert not torch.equal(next(iter(whole.batches(5, drop_last=False)))[0][4], x[4])


def test_the_probe_of_streamed_pictures_is_not_augmented(root: Path) -> None:
    x, y = probe_batch(opened(root).train, 6)
    assert torch.equal(x, probe_batch(opened(root).train, 6)[0]) and torch.bincount(y).tolist() == [3, 3]
    plain = next(iter(opened(root).train.batches(36, drop_last=False)))[0]
    assert all((plain == picture).flatten(1).all(1).any() for picture in x)


@FEW_CORES
@pytest.mark.parametrize("loaders", [0, 1])
def test_a_truncated_picture_in_the_stream_is_named_in_one_line(root: Path, loaders: int) -> None:
    data = opened(root, loaders=loaders)
    path = truncate(root / data.train.files.names[0])  # type: ignore[attr-defined]
    with pytest.raises(DataError) as caught:
        shown(data, batch=12)
    assert str(path) in str(caught.value) and "--data.on_bad skip" in str(caught.value)
    assert "\n" not in str(caught.value)
