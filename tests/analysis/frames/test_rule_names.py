"""Custom rules have the names that they give themselves, and their files, in frames, tables and figures."""

import json
from pathlib import Path

import pytest

from analysis.figures.curves import curves_chart
from analysis.frames.study import Frames
from analysis.tables.final import final_table
from nowt.store.layout import Store
from tests.support.synthetic_frames import frames_in, text_of
from tests.support.synthetic_store import key_of, rules_study, write_store

FILES = {"fa": ("one", "/lab/two.py:One"), "kp": ("two", "/lab/two.py:Two")}  # by cell


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    """bp and two rules of one file; kp's second run has not started."""
    study = rules_study(names=["bp", *FILES], seeds=2, epochs=1)
    write_store(tmp_path, study, layers=1, missing=[("kp", 1)])
    store = Store(tmp_path)
    content = json.loads(store.study_file(study.key).read_text())
    for cell in content["cells"]:
        cell["config"]["rule"]["name"] = FILES.get(cell["name"], ("", "bp"))[1]
    store.study_file(study.key).write_text(json.dumps(content))
    for cell, (name, source) in FILES.items():
        for path in (store.log(key_of(study, cell, seed)) for seed in study.seeds):
            first, _, rest = path.read_text().partition("\n") if path.exists() else ("{}", "", "")
            start = {**json.loads(first), "rule_name": name}
            if "config" in start:
                start["config"]["rule"]["name"] = source
                path.write_text(f"{json.dumps(start)}\n{rest}")
    return frames_in(tmp_path)


def test_two_rules_of_one_file_have_their_own_names(frames: Frames) -> None:
    assert dict(zip(frames.runs["cell"], frames.runs["rule"], strict=True)) == {
        "bp": "bp",
        "fa": "one (two.py:One)",
        "kp": "two (two.py:Two)",
    }
    assert set(final_table(frames)["rule"]) == set(frames.runs["rule"])
    assert frames.study.cells["kp"]["rule"]["name"] == "two (two.py:Two)"
    assert text_of(curves_chart(frames))
