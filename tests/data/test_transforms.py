"""Shift, flip and resized crop, given the numbers drawn for each image."""

import numpy as np
import pytest
import torch

from nowt.data.counter_rng import uniforms
from nowt.data.transforms import Normalize, random_resized_crop, shift_flip
from tests.support.synchronization import META, copies_and_waits


def moved(x: torch.Tensor, down: float, right: float, flip_draw: float, shift: int, flip: bool) -> torch.Tensor:
    return shift_flip(x, np.tile([down, right, flip_draw], (len(x), 1)), shift, flip)


def test_a_shift_moves_the_image_and_pads_with_zeros() -> None:
    x = torch.arange(1.0, 65).view(1, 1, 8, 8)
    assert torch.equal(moved(x, 0.5, 0.5, 0.0, 1, False), x)
    up_left = moved(x, 0.99, 0.99, 0.0, 1, False)
    assert torch.equal(up_left[..., :-1, :-1], x[..., 1:, 1:])
    assert up_left[..., -1, :].eq(0).all() and up_left[..., -1].eq(0).all()


def test_a_flip_mirrors_the_image_for_draws_below_one_half() -> None:
    x = torch.rand(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(moved(x, 0, 0, 0.4, 0, True), x.flip(3))
    assert torch.equal(moved(x, 0, 0, 0.6, 0, True), x)
    assert torch.equal(moved(x, 0, 0, 0.4, 0, False), x)


def test_each_image_of_a_batch_is_shifted_independently() -> None:
    x = torch.rand(40, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    draws = uniforms(1, np.arange(40), np.zeros(40, np.int64), 3)
    alone = [shift_flip(x[i : i + 1], draws[i : i + 1], 2, True) for i in range(40)]
    assert torch.equal(shift_flip(x, draws, 2, True), torch.cat(alone))


def test_all_shifts_are_equally_likely() -> None:
    x = torch.zeros(5000, 1, 8, 8)
    x[:, :, 4, 4] = 1
    spots = shift_flip(x, uniforms(3, np.arange(5000), np.zeros(5000, np.int64), 3), 1, False)
    counts = spots.sum((0, 1))[3:6, 3:6]
    assert counts.sum() == 5000 and (counts - 5000 / 9).abs().max() < 100


def test_crops_have_the_specified_areas_and_aspect_ratios() -> None:
    draws = uniforms(5, np.arange(2000), np.zeros(2000, np.int64), 23)
    boxes = [random_resized_crop(400, 300, row) for row in draws]
    width, height = (np.array([b[i + 2] - b[i] for b, _ in boxes]) for i in (0, 1))
    assert all(0 <= b[0] < b[2] <= 400 and 0 <= b[1] < b[3] <= 300 for b, _ in boxes)
    areas, ratios = width * height / 120_000, width / height
    assert 0.075 < areas.min() < 0.1 and areas.max() > 0.9 and ratios.min() > 0.74 and ratios.max() < 1.35
    assert abs(np.mean([flipped for _, flipped in boxes]) - 0.5) < 0.04


def test_the_center_is_used_if_no_random_crop_fits() -> None:
    (left, upper, right, lower), _ = random_resized_crop(1000, 10, np.full(23, 0.9))
    assert (upper, lower) == (0, 10) and right - left == pytest.approx(40 / 3) and left + right == 1000


def test_images_are_normalized_without_copies_to_their_device() -> None:
    normalize = Normalize((0.5, 0.4, 0.3), (0.2, 0.2, 0.3))
    pixels = torch.zeros(2, 3, 4, 4, dtype=torch.uint8, device=META)
    normalize(pixels)  # keeps mean and standard deviation there
    with copies_and_waits() as found:
        assert normalize(pixels).device == META
    assert found == []


def test_normalization_divides_bytes_by_255_and_floats_by_1() -> None:
    normalize = Normalize((0.5,), (0.25,))
    for _ in range(2):
        assert normalize(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)).unique().tolist() == [2.0]
        assert normalize(torch.ones(1, 1, 2, 2)).unique().tolist() == [2.0]
