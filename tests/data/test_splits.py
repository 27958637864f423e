"""Batches of a split: order, repeats, crops, resuming in the middle of an epoch, the probe batch."""

from dataclasses import replace

import pytest
import torch

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.core.seeding import Seeds
from nowt.data.datasets import open_data
from nowt.data.splits import Split, probe_batch

SEEDS = Seeds().resolve(0)


HERE = Placement()


DIGITS = DataConfig("digits")


def epoch(split: Split, batch: int = 32, number: int = 0, start: int = 0, seeds: Seeds = SEEDS) -> list:
    return list(split.batches(batch, seeds=seeds, epoch=number, start=start, drop_last=True))


def images(batches: list) -> torch.Tensor:
    return torch.cat([x for x, _ in batches])


def same(left: list, right: list) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(left, right, strict=True)
    )


def test_batches_are_normalized_float32_with_int64_labels() -> None:
    x, y = next(iter(open_data(DIGITS, HERE).train.batches(1294, drop_last=False)))
    assert (x.dtype, y.dtype, x.shape) == (torch.float32, torch.int64, (1294, 1, 8, 8))
    assert abs(x.mean().item()) < 0.01 and abs(x.std().item() - 1) < 0.01


def test_evaluation_keeps_order_and_the_last_short_batch() -> None:
    val = open_data(DIGITS, HERE).val
    batches = list(val.batches(100, drop_last=False))
    assert [len(y) for _, y in batches] == [100, 44]
    assert torch.cat([y for _, y in batches]).tolist() == val.labels.tolist()


def test_an_epoch_contains_every_image_once_in_random_order() -> None:
    train = open_data(DIGITS, HERE).train
    labels = torch.cat([y for _, y in train.batches(50, seeds=SEEDS, drop_last=False)])
    assert labels.tolist() != train.labels.tolist()
    assert sorted(labels.tolist()) == sorted(train.labels.tolist())


def test_order_depends_only_on_its_seed_and_the_epoch() -> None:
    train = open_data(DIGITS, HERE).train
    assert same(epoch(train), epoch(open_data(DIGITS, HERE).train))
    assert not same(epoch(train), epoch(train, number=1))
    assert not same(epoch(train), epoch(train, seeds=replace(SEEDS, order=1)))
    assert same(epoch(train), epoch(train, seeds=replace(SEEDS, crops=1, weights=1, feedback=1, noise=1)))


def test_without_shuffling_every_epoch_has_the_order_of_the_files_and_its_own_crops() -> None:
    plain = replace(DIGITS, shuffle=False)
    train = open_data(plain, HERE).train
    assert same(epoch(train), epoch(train, number=1)) and same(epoch(train), epoch(train, seeds=Seeds().resolve(1)))
    assert torch.equal(images(epoch(train)), images(list(train.batches(32)))[: 40 * 32])
    assert same(epoch(train, start=17), epoch(train)[17:])
    moved = open_data(replace(plain, augment="shift"), HERE).train
    assert not torch.equal(images(epoch(moved)), images(epoch(moved, number=1)))
    twice = open_data(replace(plain, repeat=2), HERE).train
    labels = torch.cat([y for _, y in twice.batches(50, seeds=SEEDS, drop_last=False)])
    assert labels.tolist() == 2 * train.labels.tolist()


def test_crops_depend_on_their_own_seed() -> None:
    train = open_data(replace(DIGITS, augment="shift"), HERE).train
    here, there = epoch(train), epoch(train, seeds=replace(SEEDS, crops=1))
    assert [y.tolist() for _, y in here] == [y.tolist() for _, y in there]
    assert not torch.equal(images(here), images(there))


def test_the_global_generator_is_not_used() -> None:
    before = torch.random.get_rng_state()
    epoch(open_data(DataConfig("synthetic", augment="shift_flip", noise=0.1), HERE).train)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("start", [0, 1, 17, 40])
def test_an_epoch_resumed_in_the_middle_continues_exactly(start: int) -> None:
    train = open_data(replace(DIGITS, augment="shift_flip"), HERE).train
    assert same(epoch(train, start=start), epoch(train)[start:])


def test_a_repeated_image_gets_a_different_crop_each_time() -> None:
    once = open_data(DataConfig("synthetic", augment="shift"), HERE).train
    twice = open_data(DataConfig("synthetic", augment="shift", repeat=2), HERE).train
    assert twice.steps(32) == 2 * len(once) // 32 and len(twice) == len(once)
    shown = images(list(twice.batches(32, seeds=SEEDS, drop_last=False)))
    assert len(shown) == 2 * len(once)
    assert len(shown.flatten(1).unique(dim=0)) > 1.9 * len(once)


def test_an_image_gets_a_different_crop_in_each_epoch() -> None:
    train = open_data(DataConfig("synthetic", augment="shift"), HERE).train
    shown = images(epoch(train, batch=720) + epoch(train, batch=720, number=1))
    assert len(shown.flatten(1).unique(dim=0)) > 1.9 * len(train)


def test_without_augmentation_repeats_are_identical() -> None:
    train = open_data(DataConfig("synthetic", repeat=3), HERE).train
    shown = images(list(train.batches(32, seeds=SEEDS, drop_last=False)))
    assert len(shown.flatten(1).unique(dim=0)) == len(train) == len(shown) // 3


def test_a_batch_larger_than_an_epoch_is_refused() -> None:
    with pytest.raises(DataError, match="batch is 2000: it must be at most 1294"):
        epoch(open_data(DIGITS, HERE).train, batch=2000)


def test_the_probe_batch_is_balanced_and_never_augmented() -> None:
    plain, moved = (open_data(DataConfig("synthetic", augment=a), HERE) for a in ("none", "shift_flip"))
    x, y = probe_batch(plain.train, 20)
    assert torch.bincount(y).tolist() == [2] * 10
    assert torch.equal(x, probe_batch(moved.train, 20)[0])


def test_a_probe_larger_than_the_split_is_refused() -> None:
    with pytest.raises(DataError, match=r"probe\.samples is 5000: there are only 720"):
        probe_batch(open_data(DataConfig("synthetic"), HERE).train, 5000)
