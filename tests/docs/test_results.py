"""docs/results.md: the block that prints the table of the authors' own runs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.frames.store.store import read_store
from nowt.studies.lookup import find_study
from tests.support.synthetic_store import write_store

PAGE = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")

STUDY = Path(__file__).parents[2] / "searchspaces" / "mnist_authors.py"


def test_the_block_prints_error_and_angles_of_each_rule_at_the_named_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = find_study(str(STUDY))
    cells = tuple(replace(cell, config=replace(cell.config, epochs=12)) for cell in study.cells)
    write_store(tmp_path / "runs", replace(study, cells=cells), layers=2)
    monkeypatch.chdir(tmp_path)
    [block] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(block, {})
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head == "| rule | epoch | 1 | 2 | 5 | 10 | 20 | 50 | 100 |"
    rows = {tuple(line.split(" | ")[:2]): line.split(" | ")[2:] for line in lines}
    assert [rule for rule, _ in rows] == ["| bp", *4 * ["| fa"], *4 * ["| kp"], *4 * ["| wm"]]
    epochs = read_store("runs").epochs
    kp = epochs[(epochs["rule"] == "kp") & (epochs["epoch"] == 10)]["test_error"].item()
    assert rows["| kp", "test error, %"][3] == f"{100 * kp:.2f}"
    assert rows["| kp", "test error, %"][4:] == ["–", "–", "– |"]
