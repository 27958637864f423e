"""Data sets that need no files: splits, noise, limits, invalid configurations."""

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
from nowt.data.datasets import open_data
from nowt.data.splits import Split
from nowt.data.subsets import balanced, stratified

HERE = Placement()


DIGITS = DataConfig("digits")


def images(batches: list) -> torch.Tensor:
    return torch.cat([x for x, _ in batches])


def in_order(split: Split) -> torch.Tensor:
    return images(list(split.batches(100, drop_last=False)))


def test_digits_are_split_in_train_val_and_test() -> None:
    data = open_data(DIGITS, HERE)
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (1294, 144, 359)
    assert data.shape == (1, 8, 8) and data.classes == 10 and data.skipped == ()


def test_every_image_is_in_exactly_one_split() -> None:
    data = open_data(DIGITS, HERE)
    assert data.test is not None
    everything = torch.cat([in_order(split) for split in (data.train, data.val, data.test)])
    from sklearn.datasets import load_digits

    original = torch.from_numpy(load_digits().images[:, None]) / 16
    restored = np.sort((everything * 0.3760 + 0.3053).flatten(1).double().numpy().round(3), axis=0)
    assert np.allclose(restored, np.sort(original.flatten(1).numpy().round(3), axis=0), atol=2e-3)


def test_without_holding_out_validation_images_are_trained_on_and_scored_as_before() -> None:
    held, kept = open_data(DIGITS, HERE), open_data(replace(DIGITS, hold_out=False), HERE)
    assert len(kept.train) == len(held.train) + len(held.val) == 1294 + 144
    assert torch.equal(in_order(kept.val), in_order(held.val))
    assert held.test is not None and kept.test is not None
    assert torch.equal(in_order(kept.test), in_order(held.test))
    assert kept.fingerprint == held.fingerprint  # the run key has the field


def test_splits_are_stratified_by_class() -> None:
    data = open_data(DIGITS, HERE)
    assert data.test is not None
    for split, part in ((data.train, 0.72), (data.val, 0.08), (data.test, 0.2)):
        shares = np.bincount(split.labels) / np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
        assert np.abs(shares - part).max() < 0.01


def test_test_images_are_opened_only_on_request() -> None:
    with_test, without = open_data(DIGITS, HERE), open_data(DIGITS, HERE, test=False)
    assert without.test is None
    assert without.fingerprint == with_test.fingerprint
    assert torch.equal(in_order(without.train), in_order(with_test.train))


def test_digits_can_be_enlarged() -> None:
    data = open_data(replace(DIGITS, size=16), HERE)
    assert data.shape == (1, 16, 16) == tuple(in_order(data.val).shape[1:])
    assert data.fingerprint == open_data(DIGITS, HERE).fingerprint


def test_noise_is_the_same_in_every_opening() -> None:
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
def test_a_limit_keeps_at_least_one_image_per_class_and_at_most_all(limit: int, left: int) -> None:
    assert len(open_data(replace(DIGITS, train_limit=limit), HERE).train) == left


@pytest.mark.parametrize("limit", [10, 25, 100])
def test_score_limit_selects_a_balanced_fixed_subset_of_val_and_test(limit: int) -> None:
    config = replace(DIGITS, score_limit=limit)
    data, again, full = open_data(config, HERE), open_data(config, HERE), open_data(DIGITS, HERE)
    assert data.test is not None and again.test is not None and full.test is not None
    for few, same_few, all_ in ((data.val, again.val, full.val), (data.test, again.test, full.test)):
        counts = np.bincount(few.labels, minlength=10)
        assert len(few) == limit and counts.max() - counts.min() <= 1
        assert torch.equal(in_order(few), in_order(same_few))
        assert (in_order(few)[:, None] == in_order(all_)[None]).flatten(2).all(2).any(1).all()
    assert torch.equal(in_order(data.train), in_order(full.train))


def test_a_split_by_seed_draws_other_validation_and_training_images_and_the_same_test_images() -> None:
    fixed = replace(DIGITS, train_limit=200)
    by_seed = replace(fixed, split="by_seed")
    first, again, second = (open_data(by_seed, HERE, split_seed=seed) for seed in (0, 0, 1))
    for name in ("train", "val", "test"):
        one, same, other = (in_order(getattr(data, name)) for data in (first, again, second))
        assert torch.equal(one, same) and one.shape == other.shape
        assert torch.equal(one, other) == (name == "test")
        assert torch.equal(one, in_order(getattr(open_data(fixed, HERE), name))) == (name == "test")
    assert np.bincount(second.train.labels).tolist() == [20] * 10
    assert len({first.fingerprint, again.fingerprint, second.fingerprint}) == 2


def test_the_digest_of_the_images_is_the_same_for_every_split() -> None:
    fixed, others = open_data(DIGITS, HERE), open_data(DataConfig("synthetic"), HERE)
    by_seed = [open_data(replace(DIGITS, split="by_seed"), HERE, split_seed=seed) for seed in (0, 1)]
    assert {data.images for data in (fixed, *by_seed)} == {fixed.fingerprint}
    assert len({data.fingerprint for data in (fixed, *by_seed)}) == 3
    assert others.images != fixed.images


def test_a_split_by_seed_needs_the_seed_and_a_fixed_one_has_none() -> None:
    with pytest.raises(ConfigError, match=r"data\.split is by_seed: split_seed is None"):
        open_data(replace(DIGITS, split="by_seed"), HERE)
    with pytest.raises(ConfigError, match=r"data\.split is fixed: split_seed is 1"):
        open_data(DIGITS, HERE, split_seed=1)


def test_score_limit_above_the_split_size_scores_all_images() -> None:
    data = open_data(replace(DIGITS, score_limit=200), HERE)
    assert data.test is not None
    assert (len(data.val), len(data.test)) == (144, 200)


def test_runs_scored_on_different_images_have_different_keys() -> None:
    limits = (None, 100, 200)
    keys = {run_key(RunConfig(data=replace(DIGITS, score_limit=limit)), "f") for limit in limits}
    assert len(keys) == 3


def test_a_larger_limit_contains_the_images_of_a_smaller_one() -> None:
    labels = open_data(DIGITS, HERE).train.labels
    assert set(balanced(labels, 100, "x")) < set(balanced(labels, 300, "x"))


def test_stratified_choices_have_the_exact_size_and_never_empty_a_class() -> None:
    labels = np.repeat(np.arange(4), [1, 2, 30, 67])
    chosen = stratified(labels, 10, "x")
    assert len(set(chosen)) == 10
    assert np.bincount(labels[chosen], minlength=4).tolist() == [0, 0, 3, 7]


def test_synthetic_classes_are_separable() -> None:
    data = open_data(DataConfig("synthetic"), HERE)
    spectra = [torch.fft.fft2(in_order(split)[:, 0]).abs().flatten(1) for split in (data.train, data.val)]
    nearest = torch.cdist(spectra[1], spectra[0]).argmin(dim=1).numpy()
    assert (data.train.labels[nearest] == data.val.labels).mean() > 0.9


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_resized_crops_are_refused_for_builtin_data_sets(name: str) -> None:
    with pytest.raises(ConfigError, match=f"resized_crop is for folder and imagenet, not for {name}"):
        open_data(DataConfig(name, augment="resized_crop"), HERE)  # type: ignore[arg-type]


def test_shifting_an_image_that_is_too_small_is_refused() -> None:
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
