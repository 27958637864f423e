"""A rule that a study imports from a package is found again by workers and later commands, with the same key."""

import json
import sys
from pathlib import Path

import pytest

from nowt.config.run_config import config_from_json, config_to_json
from nowt.config.run_key import run_key
from nowt.execution.job import _found_here
from nowt.studies.lookup import find_study
from tests.core.test_source_hash import written

STUDY = """
from nowt import Cell, RunConfig, Study
from rules_of_a_test.mine import Mine

def study():
    return Study("s", "Which?", (Cell("mine", RunConfig(rule=Mine())),), seeds=(0,), reference="mine")
"""

RULE = """
from dataclasses import dataclass
from typing import ClassVar
from nowt import FeedbackAlignment
{}

@dataclass(frozen=True)
class Mine(FeedbackAlignment):
    name: ClassVar[str] = "mine"
"""

WAYS = ("", "from .helpers import SCALE", "from rules_of_a_test.helpers import SCALE", "from . import helpers")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize("place", ["beside the study", "on PYTHONPATH"])
def test_it_is_found_again(tmp_path: Path, way: str, init: bool, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"mine.py": RULE.format(way), "helpers.py": "SCALE = 1\n", **({"__init__.py": ""} if init else {})}
    here = tmp_path if place == "beside the study" else tmp_path / "shared"
    written(here / "rules_of_a_test", rules)
    if here != tmp_path:
        monkeypatch.syspath_prepend(here)
    config = find_study(str(written(tmp_path, {"study.py": STUDY}))).cells[0].config
    assert config.rule.source == f"{here}/./rules_of_a_test/mine.py:Mine"
    text, key = json.dumps(config_to_json(config)), run_key(config, "pixels")
    monkeypatch.undo()
    for name in [name for name in sys.modules if name.startswith("rules_of_a_test")]:
        del sys.modules[name]  # as in a new process
    again = config_from_json(json.loads(text))
    assert run_key(again, "pixels") == key
    copied = _found_here({**json.loads(text), "rule": {"name": "/gone/./rules_of_a_test/mine.py:Mine"}}, Path("/gone"))
    assert copied["rule"]["name"] == f"{Path.cwd()}/./rules_of_a_test/mine.py:Mine"
