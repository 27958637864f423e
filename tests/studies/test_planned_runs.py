"""A study with a cell whose rule or model cannot be trained is rejected before any run starts."""

from dataclasses import replace
from pathlib import Path

import pytest

from nowt.config.placement import Placement
from nowt.config.recipes import digits, shrink_config
from nowt.config.run_config import ModelConfig
from nowt.core.errors import ConfigError
from nowt.data.datasets import RunData
from nowt.execution.job import Job, run_job
from nowt.rules.registry import find_rule
from nowt.studies.ablation import planned_runs
from nowt.studies.study import Cell, Study
from nowt.training.loop import train

ZERO_HEAD = """
from torch import nn

def head_at_zero(shape, classes):
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 16), nn.ReLU(), nn.Linear(16, classes))
    nn.init.zeros_(model[3].weight)
    return model
"""


def study(folder: Path, **fields: str) -> Study:
    """Backprop and feedback alignment on a model whose head starts at 0."""
    (folder / "head.py").write_text(ZERO_HEAD)
    config = shrink_config(digits(), epochs=1, images=64)
    config = replace(config, model=ModelConfig(f"{folder / 'head.py'}:head_at_zero"))
    cells = (Cell("bp", config), Cell("fa", replace(config, rule=find_rule("fa")(**fields))))
    return Study("heads", "Which rule trains a head that starts at 0?", cells, (0, 1))


def test_a_study_with_a_rule_that_does_not_work_on_its_model_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^model .*head_at_zero: all weights of layer 3 start at 0, so "):
        planned_runs(study(tmp_path), Placement(device="cpu"))
    assert len(planned_runs(study(tmp_path, last_layer="backprop"), Placement(device="cpu"))) == 4


def test_runs_whose_split_follows_the_seed_are_planned_and_trained_with_that_split(tmp_path: Path) -> None:
    """All cells share the split of a seed, and the run finds the images for which it was planned."""
    config = shrink_config(digits(), epochs=1, images=64)
    config = replace(config, model=ModelConfig("mlp", hidden=(8,)), data=replace(config.data, split="by_seed"))
    small = replace(config, model=ModelConfig("mlp", hidden=(4,)))
    runs = planned_runs(Study("s", "?", (Cell("wide", config), Cell("narrow", small)), (0, 1)), Placement(device="cpu"))
    prints = {(run.cell, run.seed): run.start["fingerprint"] for run in runs}
    assert prints["wide", 0] == prints["narrow", 0] != prints["wide", 1] == prints["narrow", 1]
    assert [run.start["not_replaced"] for run in runs] == [[]] * 4
    messages = [list(run_job(Job.of(run, Placement(device="cpu", store=str(tmp_path))))) for run in runs[:2]]
    assert [found[-1]["state"] for found in messages] == ["finished", "finished"]


def test_training_refuses_images_with_the_split_of_another_seed() -> None:
    config = shrink_config(digits(), epochs=1, images=64)
    config = replace(config, data=replace(config.data, split="by_seed"), seed=1)
    data = RunData.of(replace(config, seed=0)).open(Placement(device="cpu"))
    with pytest.raises(ConfigError, match="split of the data is that of seed 0, and this run needs that of seed 1"):
        next(train(config, Placement(device="cpu"), data=data))
