"""A study with a cell whose rule or model cannot be trained is rejected before any run starts."""

from dataclasses import replace
from pathlib import Path

import pytest

from nowt.config.placement import Placement
from nowt.config.recipes import digits, shrink_config
from nowt.config.run_config import ModelConfig
from nowt.core.errors import ConfigError
from nowt.rules.registry import find_rule
from nowt.studies.ablation import planned_runs
from nowt.studies.study import Cell, Study

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
