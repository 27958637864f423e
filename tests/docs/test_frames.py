"""docs/frames.md names every column, and its examples run."""

import re
from pathlib import Path

import pandas as pd
import pytest

from analysis.frames import mlflow
from analysis.frames.store.columns import CELLS, EPOCHS, LAYERS, RUNS
from analysis.frames.store.store import StoreFrames, read_store
from analysis.frames.store.trial_rows import TRIALS
from tests.support.synthetic_search import write_search
from tests.support.synthetic_store import write_store

PAGE = (Path(__file__).parents[2] / "docs" / "frames.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> StoreFrames:
    store = tmp_path_factory.mktemp("store")
    write_store(store)
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
    assert ends.loc["bp", "count"] == 3
    assert epochs["kp"].between(1, 10).all()
    assert (rates["min"] <= rates["max"]).all()
