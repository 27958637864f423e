"""docs/frames.md names every column, and its examples run."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from analysis.frames import mlflow
from analysis.frames.store.columns import CELLS, EPOCHS, LAYERS, RUNS
from analysis.frames.store.store import StoreFrames, read_store
from analysis.frames.store.trial_rows import TRIALS
from tests.support.synthetic_search import write_search
from tests.support.synthetic_store import key_of, write_store

PAGE = (Path(__file__).parents[2] / "docs" / "frames.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> StoreFrames:
    store = tmp_path_factory.mktemp("store")
    study = write_store(store)
    path = store / "studies" / f"{study.key}.json"
    data = json.loads(path.read_text())
    data["runs"].append({"key": key_of(study, "bp", 1), "cell": "bp", "seed": 0})  # in the place of the run before
    path.write_text(json.dumps(data))
    write_search(store)
    return read_store(store)


def test_every_column_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", PAGE))
    columns = {*RUNS, *EPOCHS, *LAYERS, *CELLS, *TRIALS, *mlflow.RUNS, *mlflow.METRICS}
    assert columns - explained == set()


def test_the_three_examples_run(frames: StoreFrames) -> None:
    section = PAGE[PAGE.index("## Three examples") : PAGE.index("## One study")]
    examples = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    found = []
    for example in examples:
        *steps, last = example.strip().splitlines()
        names: dict[str, object] = {"store": frames, "pd": pd}
        exec("\n".join(steps), names)
        found.append(eval(last, names))
    ends, epochs, rates = found
    assert ends.loc["bp", "count"] == 2  # of three, one is superseded
    assert epochs["kp"].between(1, 10).all()
    assert (rates["min"] <= rates["max"]).all()
