"""After images have changed, no result of a study mixes runs on both, even if a command repeats some seeds only."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.frames import find_study, read_frames
from analysis.frames.studies import StudyPlan
from nowt import Backprop, FeedbackAlignment
from nowt.cli.databases import databases
from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig, ModelConfig, RunConfig
from nowt.core.errors import ConfigError
from nowt.execution.runner import ExecutionOptions
from nowt.rules.base import Rule
from nowt.store.sync.merge import merge
from nowt.studies.ablation import ablate
from nowt.studies.planning.estimate import plan
from nowt.studies.study import Cell, Study
from tests.support.synthetic_images import draw, image_folder


def cell(rule: Rule, split: Any) -> Cell:
    data = DataConfig("folder", size=8, split=split)
    return Cell(rule.name, RunConfig(model=ModelConfig("mlp", hidden=(4,)), data=data, rule=rule, batch=8, epochs=1))


def states(store: Path) -> dict[tuple[str, int], str]:
    plan = find_study(store, "small")
    assert isinstance(plan, StudyPlan)
    runs = read_frames(store, plan).runs
    return {(run.cell, run.seed): run.state for run in runs.itertuples()}


@pytest.mark.parametrize("split", ["fixed", "by_seed"])
def test_runs_with_other_seeds_on_the_images_of_before_are_not_included(tmp_path: Path, split: str) -> None:
    root, store, lines = image_folder(tmp_path / "images"), tmp_path / "store", list[str]()
    options = ExecutionOptions(Placement(store=str(store), data=str(root), device="cpu", loaders=1), in_process=True)
    cells = tuple(cell(rule, split) for rule in (Backprop(), FeedbackAlignment()))
    ablate(Study("small", "?", cells, seeds=(0, 1)), options, lines.append)
    assert set(states(store).values()) == {"finished"}
    draw(root / "train/cat/000.jpg", seed=77)
    page = plan(Study("small", "?", cells, seeds=(0,)), options.placement)
    assert re.search(r"2 finished runs of small \(.*the images have changed; nowt ablate trains them again", page)
    assert re.search(r"2 finished runs of small with other seeds .*the images have changed", page)
    ablate(Study("small", "?", cells, seeds=(0,)), options, lines.append)
    assert states(store) == {
        ("bp", 0): "finished",
        ("fa", 0): "finished",
        ("bp", 1): "not started",
        ("fa", 1): "not started",
    }
    assert any(line.startswith("2 finished runs of small with other seeds ") for line in lines)
    ablate(Study("small", "?", cells, seeds=(0, 1)), options, lines.append)
    assert set(states(store).values()) == {"finished"}


def test_no_merge_mixes_runs_on_both_and_no_result_averages_them(tmp_path: Path) -> None:
    before, here, there = image_folder(tmp_path / "before"), tmp_path / "here", tmp_path / "there"
    after = Path(shutil.copytree(before, tmp_path / "after"))
    draw(after / "train/cat/000.jpg", seed=77)
    for store, root, seeds in ((here, before, (0, 1)), (there, after, (2,))):
        place = Placement(store=str(store), data=str(root), device="cpu", loaders=1)
        study = Study("small", "?", (cell(Backprop(), "by_seed"),), seeds=seeds)
        ablate(study, ExecutionOptions(place, in_process=True), lambda line: None)
    plan = find_study(here, "small")
    assert isinstance(plan, StudyPlan) and read_frames(here, plan).runs["images"].nunique() == 1
    with pytest.raises(ConfigError, match=rf"{study.key} would mix images \w{{8}} \(seeds 0, 1 in .* \(seed 2 in "):
        merge(there, here, print, databases())
    for path in (there / "logs").glob("*.jsonl"):  # as an earlier version merged them
        shutil.copy(path, here / "logs")
    both = replace(plan, runs=(*plan.runs, *find_study(there, "small").runs))
    with pytest.raises(ValueError, match=r"has runs on images \w{8} \(seeds 0, 1\) and \w{8} \(seed 2\)"):
        read_frames(here, both)
