"""Data sets that need no files: splits, order, repeats, resuming in mid-epoch, noise, limits."""

import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig, RunConfig
from nowt.config.run_key import run_key
from nowt.core.errors import ConfigError, DataError
from nowt.core.seeding import Seeds
from nowt.data.datasets import open_data
from nowt.data.splits import Split, probe_batch
from nowt.data.subsets import balanced, share

SEEDS = Seeds().resolve(0)

HERE = Placement()

DIGITS = DataConfig("digits")


def epoch(split: Split, batch: int = 32, number: int = 0, start: int = 0, seeds: Seeds = SEEDS) -> list:
    return list(split.batches(batch, seeds=seeds, epoch=number, start=start, drop_last=True))


def pictures(batches: list) -> torch.Tensor:
    return torch.cat([x for x, _ in batches])


def same(left: list, right: list) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(left, right, strict=True)
    )


def in_order(split: Split) -> torch.Tensor:
    return pictures(list(split.batches(100, drop_last=False)))


def test_digits_are_split_in_train_val_and_test() -> None:
    data = open_data(DIGITS, HERE)
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (1294, 144, 359)
    assert data.shape == (1, 8, 8) and data.classes == 10 and data.skipped == ()


def test_every_picture_is_in_exactly_one_split() -> None:
    data = open_data(DIGITS, HERE)
    assert data.test is not None
    everything = torch.cat([in_order(split) for split in (data.train, data.val, data.test)])
    from sklearn.datasets import load_digits

    whole = torch.from_numpy(load_digits().images[:, None]) / 16
    mine = np.sort((everything * 0.3760 + 0.3053).flatten(1).double().numpy().round(3), axis=0)
    assert np.allclose(mine, np.sort(whole.flatten(1).numpy().round(3), axis=0), atol=2e-3)


def test_every_class_has_its_share_of_each_split() -> None:
    data = open_data(DIGITS, HERE)
    assert data.test is not None
    for split, part in ((data.train, 0.72), (data.val, 0.08), (data.test, 0.2)):
        shares = np.bincount(split.labels) / np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
        assert np.abs(shares - part).max() < 0.01


def test_the_test_pictures_are_opened_only_where_asked() -> None:
    with_test, without = open_data(DIGITS, HERE), open_data(DIGITS, HERE, test=False)
    assert without.test is None
    assert without.fingerprint == with_test.fingerprint
    assert torch.equal(in_order(without.train), in_order(with_test.train))


def test_batches_are_normalised_float32_with_int64_labels() -> None:
    x, y = next(iter(open_data(DIGITS, HERE).train.batches(1294, drop_last=False)))
    assert (x.dtype, y.dtype, x.shape) == (torch.float32, torch.int64, (1294, 1, 8, 8))
    assert abs(x.mean().item()) < 0.01 and abs(x.std().item() - 1) < 0.01


def test_evaluation_keeps_order_and_the_last_short_batch() -> None:
    val = open_data(DIGITS, HERE).val
    batches = list(val.batches(100, drop_last=False))
    assert [len(y) for _, y in batches] == [100, 44]
    assert torch.cat([y for _, y in batches]).tolist() == val.labels.tolist()


def test_an_epoch_shows_every_picture_once_in_a_drawn_order() -> None:
    train = open_data(DIGITS, HERE).train
    labels = torch.cat([y for _, y in train.batches(50, seeds=SEEDS, drop_last=False)])
    assert labels.tolist() != train.labels.tolist()
    assert sorted(labels.tolist()) == sorted(train.labels.tolist())


def test_the_order_depends_on_its_seed_and_the_epoch_alone() -> None:
    train = open_data(DIGITS, HERE).train
    assert same(epoch(train), epoch(open_data(DIGITS, HERE).train))
    assert not same(epoch(train), epoch(train, number=1))
    assert not same(epoch(train), epoch(train, seeds=replace(SEEDS, order=1)))
    assert same(epoch(train), epoch(train, seeds=replace(SEEDS, crops=1, weights=1, feedback=1, noise=1)))


def test_crops_have_a_seed_of_their_own() -> None:
    train = open_data(replace(DIGITS, augment="shift"), HERE).train
    here, there = epoch(train), epoch(train, seeds=replace(SEEDS, crops=1))
    assert [y.tolist() for _, y in here] == [y.tolist() for _, y in there]
    assert not torch.equal(pictures(here), pictures(there))


def test_the_global_generator_is_not_drawn_from() -> None:
    before = torch.random.get_rng_state()
    epoch(open_data(DataConfig("synthetic", augment="shift_flip", noise=0.1), HERE).train)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("start", [0, 1, 17, 40])
def test_an_epoch_begun_in_its_middle_goes_on_exactly(start: int) -> None:
    train = open_data(replace(DIGITS, augment="shift_flip"), HERE).train
    assert same(epoch(train, start=start), epoch(train)[start:])


def test_a_repeated_picture_has_another_crop_each_time() -> None:
    once = open_data(DataConfig("synthetic", augment="shift"), HERE).train
    twice = open_data(DataConfig("synthetic", augment="shift", repeat=2), HERE).train
    assert twice.steps(32) == 2 * len(once) // 32 and len(twice) == len(once)
    shown = pictures(list(twice.batches(32, seeds=SEEDS, drop_last=False)))
    assert len(shown) == 2 * len(once)
    assert len(shown.flatten(1).unique(dim=0)) > 1.9 * len(once)


def test_a_picture_has_another_crop_in_another_epoch() -> None:
    train = open_data(DataConfig("synthetic", augment="shift"), HERE).train
    shown = pictures(epoch(train, batch=720) + epoch(train, batch=720, number=1))
    assert len(shown.flatten(1).unique(dim=0)) > 1.9 * len(train)


def test_without_augmentation_a_repeat_is_the_same_picture() -> None:
    train = open_data(DataConfig("synthetic", repeat=3), HERE).train
    shown = pictures(list(train.batches(32, seeds=SEEDS, drop_last=False)))
    assert len(shown.flatten(1).unique(dim=0)) == len(train) == len(shown) // 3


def test_a_batch_larger_than_an_epoch_is_refused() -> None:
    with pytest.raises(DataError, match="batch is 2000: it must be at most 1294"):
        epoch(open_data(DIGITS, HERE).train, batch=2000)


def test_digits_can_be_enlarged() -> None:
    data = open_data(replace(DIGITS, size=16), HERE)
    assert data.shape == (1, 16, 16) == tuple(in_order(data.val).shape[1:])
    assert data.fingerprint == open_data(DIGITS, HERE).fingerprint


def test_noise_is_fixed_in_each_picture() -> None:
    noisy = replace(DIGITS, noise=0.5)
    first = in_order(open_data(noisy, HERE).val)
    assert torch.equal(first, in_order(open_data(noisy, HERE).val))
    difference = (first - in_order(open_data(DIGITS, HERE).val)) * 0.3760
    assert abs(difference.std().item() - 0.5) < 0.02 and abs(difference.mean().item()) < 0.02


@pytest.mark.parametrize("limit", [10, 25, 500])
def test_a_limited_training_set_is_balanced_and_fixed(limit: int) -> None:
    config = replace(DIGITS, train_limit=limit)
    train = open_data(config, HERE).train
    counts = np.bincount(train.labels, minlength=10)
    assert len(train) == limit and counts.max() - counts.min() <= 1
    assert torch.equal(in_order(train), in_order(open_data(config, HERE).train))
    assert len(open_data(config, HERE).val) == 144


@pytest.mark.parametrize(("limit", "left"), [(1, 10), (9, 10), (1294, 1294), (5000, 1294)])
def test_a_limit_leaves_one_picture_a_class_at_least_and_all_of_them_at_most(limit: int, left: int) -> None:
    assert len(open_data(replace(DIGITS, train_limit=limit), HERE).train) == left


@pytest.mark.parametrize("limit", [10, 25, 100])
def test_a_limit_on_scoring_leaves_a_balanced_fixed_part_of_val_and_test(limit: int) -> None:
    config = replace(DIGITS, score_limit=limit)
    data, again, full = open_data(config, HERE), open_data(config, HERE), open_data(DIGITS, HERE)
    assert data.test is not None and again.test is not None and full.test is not None
    for few, same_few, all_ in ((data.val, again.val, full.val), (data.test, again.test, full.test)):
        counts = np.bincount(few.labels, minlength=10)
        assert len(few) == limit and counts.max() - counts.min() <= 1
        assert torch.equal(in_order(few), in_order(same_few))
        assert (in_order(few)[:, None] == in_order(all_)[None]).flatten(2).all(2).any(1).all()
    assert torch.equal(in_order(data.train), in_order(full.train))


def test_a_limit_on_scoring_above_what_there_is_scores_all() -> None:
    data = open_data(replace(DIGITS, score_limit=200), HERE)
    assert data.test is not None
    assert (len(data.val), len(data.test)) == (144, 200)


def test_runs_scored_on_other_pictures_are_other_runs() -> None:
    limits = (None, 100, 200)
    keys = {run_key(RunConfig(data=replace(DIGITS, score_limit=limit)), "f") for limit in limits}
    assert len(keys) == 3


def test_a_larger_limit_keeps_the_pictures_of_a_smaller_one() -> None:
    labels = open_data(DIGITS, HERE).train.labels
    assert set(balanced(labels, 100, "x")) < set(balanced(labels, 300, "x"))


def test_shares_are_exact_in_number_and_never_empty_a_class() -> None:
    labels = np.repeat(np.arange(4), [1, 2, 30, 67])
    chosen = share(labels, 10, "x")
    assert len(set(chosen)) == 10
    assert np.bincount(labels[chosen], minlength=4).tolist() == [0, 0, 3, 7]


def test_the_probe_is_balanced_and_never_augmented() -> None:
    plain, moved = (open_data(DataConfig("synthetic", augment=a), HERE) for a in ("none", "shift_flip"))
    x, y = probe_batch(plain.train, 20)
    assert torch.bincount(y).tolist() == [2] * 10
    assert torch.equal(x, probe_batch(moved.train, 20)[0])


def test_a_probe_of_too_many_pictures_is_refused() -> None:
    with pytest.raises(DataError, match=r"probe\.samples is 5000: there are only 720"):
        probe_batch(open_data(DataConfig("synthetic"), HERE).train, 5000)


def test_the_classes_of_synthetic_pictures_can_be_told_apart() -> None:
    data = open_data(DataConfig("synthetic"), HERE)
    spectra = [torch.fft.fft2(in_order(split)[:, 0]).abs().flatten(1) for split in (data.train, data.val)]
    nearest = torch.cdist(spectra[1], spectra[0]).argmin(dim=1).numpy()
    assert (data.train.labels[nearest] == data.val.labels).mean() > 0.9


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_resized_crops_are_for_folders_only(name: str) -> None:
    with pytest.raises(ConfigError, match=f"resized_crop is for folder and imagenet, not for {name}"):
        open_data(DataConfig(name, augment="resized_crop"), HERE)  # type: ignore[arg-type]


def test_a_picture_too_small_to_be_shifted_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.size must be at least 8, not 4"):
        open_data(replace(DIGITS, size=4, augment="shift"), HERE)


@pytest.mark.parametrize("name", ["digits", "synthetic", "mnist", "fashion_mnist", "cifar10", "folder", "imagenet"])
def test_no_data_set_is_ever_downloaded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    here = Placement(store=str(tmp_path / "store"), data=str(tmp_path / "empty"))
    (tmp_path / "empty").mkdir()
    config = DataConfig(name)  # type: ignore[arg-type]
    if name in ("digits", "synthetic"):
        open_data(config, replace(here, data=""))
    else:
        with pytest.raises(DataError):
            open_data(config, here)
    assert not list((tmp_path / "empty").iterdir())
