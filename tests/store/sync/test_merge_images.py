"""Merging stores after images have changed: no result mixes runs on both, and no earlier run replaces a later one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nowt.core.errors import ConfigError
from nowt.store import run_log
from nowt.store.listed_runs import ListedRun
from nowt.store.run_log import LogWriter
from nowt.store.study_file import append_run, read_study_file, write_study_file
from nowt.store.superseded_runs import superseded_runs
from nowt.store.sync.merge import Databases, merge
from tests.support.run_logs import FACTS, epoch

KEY = "s-00000001"

NO_DATABASES = Databases(lambda other, store: 0, lambda other, store: None, lambda store, afresh: None)

OLD, NEW = "0" * 16, "1" * 16  # digests of images


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is a second later than the one before."""
    seconds = iter(range(1, 10_000))
    monkeypatch.setattr(run_log.time, "time_ns", lambda: next(seconds) * 1_000_000_000)


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "store", tmp_path / "other"


def facts(images: str, seed: int, split: str, recorded: bool, **data: Any) -> dict[str, Any]:
    config = {**FACTS["config"], "seed": seed, "data": {"name": "folder", "split": split, **data}}
    of_split = images if split == "fixed" else f"{images}-{seed}"
    known = {"images": images} if recorded else {}
    return {**FACTS, "config": config, "fingerprint": of_split, "code": {}, **known}


def key_of(images: str, cell: str, seed: int) -> str:
    return f"{images[:4]}{cell.encode().hex()}{seed:04}"


def command(
    store: Path, images: str, seeds: Sequence[int], split: str = "fixed", recorded: bool = True, **data: Any
) -> None:
    """Do what ``nowt ablate`` does to a store: list the runs, and train those that have not been."""
    runs = [ListedRun(key_of(images, cell, seed), cell, seed) for cell in ("bp", "fa") for seed in seeds]
    cells = [{"name": cell, "config": FACTS["config"]} for cell in ("bp", "fa")]
    content = {"name": "s", "question": "?", "reference": "bp", "seeds": list(seeds), "cells": cells}
    write_study_file(store, KEY, content, runs)
    for run in runs:
        writer = LogWriter.open(store, run.key)
        if not writer.run.start:
            writer.start(run.key, **facts(images, run.seed, split, recorded, **data))
            writer.epoch(epoch(0))
            writer.end("finished")


def counting(store: Path) -> dict[tuple[str, int], str]:
    study = read_study_file(store / "studies" / f"{KEY}.json")
    superseded = superseded_runs([study])[KEY]
    return {(run.cell, run.seed): run.key[:1] for run in study.runs if run.key not in superseded}


def files(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file() and p.suffix != ".lock"}


def merged(other: Path, store: Path) -> list[str]:
    lines: list[str] = []
    merge(other, store, lines.append, NO_DATABASES)
    return lines


@pytest.mark.parametrize("split", ["fixed", "by_seed"])
def test_runs_on_other_images_are_refused_before_anything_is_written(stores: tuple[Path, Path], split: str) -> None:
    store, other = stores
    command(store, OLD, (0, 1), split)
    command(other, NEW, (2, 3), split)
    before = files(store)
    with pytest.raises(ConfigError) as refused:
        merged(other, store)
    text = str(refused.value)
    assert f"study {KEY} would mix images 00000000 (seeds 0, 1 in {store}) and 11111111 (seeds 2, 3 in {other})" in text
    assert "Nothing was merged. Run nowt ablate s again" in text and "\n" not in text
    assert files(store) == before
    command(store, NEW, (0, 1), split)  # what the message says
    merged(other, store)
    assert set(counting(store).values()) == {"1"} and len(counting(store)) == 8


@pytest.mark.parametrize("split", ["fixed", "by_seed"])
def test_an_earlier_run_does_not_take_the_place_of_a_later_one(stores: tuple[Path, Path], split: str) -> None:
    store, other = stores
    command(other, OLD, (0,), split)
    command(store, NEW, (0, 1), split)
    assert merged(other, store)[-1] == f"2 runs of {KEY} in {other} do not count: {store} has later ones"
    assert set(counting(store).values()) == {"1"}
    once = files(store)
    assert len(merged(other, store)) == 1 and files(store) == once


def test_later_runs_take_the_place_of_all_earlier_ones(stores: tuple[Path, Path]) -> None:
    store, other = stores
    command(store, OLD, (0, 1))
    command(other, NEW, (0, 1))
    assert merged(other, store)[-1] == f"4 runs of {KEY} in {store} do not count: {other} has later ones"
    assert set(counting(store).values()) == {"1"}


def test_later_runs_of_some_seeds_only_are_refused(stores: tuple[Path, Path]) -> None:
    store, other = stores
    command(store, OLD, (0, 1))
    command(other, NEW, (0,))
    with pytest.raises(ConfigError, match=r"images 11111111 \(seed 0 in .*other\) and 00000000 \(seed 1 in .*store\)"):
        merged(other, store)


def test_a_superseded_run_stays_superseded(stores: tuple[Path, Path]) -> None:
    store, other = stores
    command(store, OLD, (0, 1))
    command(other, OLD, (0, 1))
    command(store, NEW, (0, 1))
    command(other, OLD, (0, 1))  # trains nothing, and is the later command
    merged(other, store)
    assert set(counting(store).values()) == {"1"}
    merged(store, other)
    assert set(counting(other).values()) == {"1"}


def test_after_the_images_were_changed_back_the_runs_of_before_count_again(stores: tuple[Path, Path]) -> None:
    store, other = stores
    command(store, OLD, (0,))
    command(store, NEW, (0,))
    command(other, OLD, (0,))
    merged(store, other)
    assert set(counting(other).values()) == {"1"}
    command(other, OLD, (0,))
    merged(other, store)
    assert counting(store) == counting(other) == {("bp", 0): "0", ("fa", 0): "0"}


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("split", ["fixed", "by_seed"])
def test_runs_on_equal_images_are_merged(stores: tuple[Path, Path], split: str, recorded: bool) -> None:
    store, other = stores
    command(store, OLD, (0, 1), split)
    command(other, OLD, (1, 2), split, recorded)
    merged(other, store)
    assert [seed for _, seed in counting(store)] == [0, 1, 0, 1, 2, 2]
    once = files(store)
    merged(other, store)
    assert files(store) == once


def test_earlier_logs_with_a_fixed_split_are_told_apart_by_their_fingerprint(stores: tuple[Path, Path]) -> None:
    store, other = stores
    command(store, OLD, (0, 1), recorded=False)
    command(other, NEW, (2,), recorded=False)
    with pytest.raises(ConfigError, match="would mix images 00000000"):
        merged(other, store)


def test_earlier_logs_with_splits_by_seed_are_merged(stores: tuple[Path, Path]) -> None:
    store, other = stores
    command(store, OLD, (0, 1), "by_seed", recorded=False)
    command(other, NEW, (2,), "by_seed", recorded=False)
    merged(other, store)  # fingerprints of different seeds cannot be compared
    assert len(counting(store)) == 6


def test_cells_with_other_data_settings_may_use_other_images(stores: tuple[Path, Path]) -> None:
    store, other = stores
    command(store, OLD, (0,), size=8)
    command(other, NEW, (1,), size=16)
    merged(other, store)
    assert len(counting(store)) == 4


def test_searches_on_other_images_are_refused(stores: tuple[Path, Path]) -> None:
    fields = {"sampler": "random", "cells": [{"name": "bp", "config": FACTS["config"]}]}
    content = {"name": "s", "question": "?", "reference": "bp", "seeds": [0], **fields}
    for folder, images, trial in zip(stores, (OLD, NEW), (0, 1), strict=True):
        study, _ = write_study_file(folder, KEY, content)
        append_run(folder, study, ListedRun(key_of(images, "bp", trial), "bp", 0, trial))
        writer = LogWriter.open(folder, key_of(images, "bp", trial))
        writer.start(writer.run.key, **facts(images, 0, "by_seed", recorded=True))
    store, other = stores
    with pytest.raises(ConfigError, match=r"images 00000000 \(trial 0 in .*keep their stores separate"):
        merged(other, store)
