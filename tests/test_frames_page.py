"""docs/frames.md names every column, and its examples run."""

import re
from pathlib import Path

import pandas as pd
import pytest
from synthetic_search import write_search
from synthetic_store import write_store

from analysis import mlflow_frames
from analysis.frames import StoreFrames, read_store
from analysis.store import CELLS, EPOCHS, LAYERS, RUNS, TRIALS

PAGE = (Path(__file__).parent.parent / "docs" / "frames.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> StoreFrames:
    store = tmp_path_factory.mktemp("store")
    write_store(store)
    write_search(store)
    return read_store(store)


def test_every_column_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", PAGE))
    columns = {*RUNS, *EPOCHS, *LAYERS, *CELLS, *TRIALS, *mlflow_frames.RUNS, *mlflow_frames.METRICS}
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
