"""docs/adding-a-figure.md: its code draws a figure as written."""

import re
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from analysis.__main__ import main
from tests.support.synthetic_store import rules_study, write_store

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-figure.md").read_text(encoding="utf-8")
READING, FIGURE, IMPORT, ENTRY = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The study that the page draws, in the store ``runs`` of the working folder."""
    name = "rules_on_digits_quick"
    write_store(tmp_path / "runs", rules_study(name, names=["bp", "fa", "kp"], epochs=2), layers=3)
    monkeypatch.chdir(tmp_path)
    return name


def test_its_first_block_prints_the_losses_of_each_epoch(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(READING, {})
    assert "train_loss" in capsys.readouterr().out


def test_its_figure_can_be_drawn_by_itself(study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("train_loss.py").write_text(FIGURE, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["train_loss.py", study, "--store", "runs", "--out", "figures"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("train_loss.py", run_name="__main__")
    assert not ended.value.code
    assert Path("figures/train_loss.png").exists() and Path("figures/train_loss.svg").exists()


def test_its_entry_adds_the_figure_to_the_report(study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("analysis.figures.train_loss")
    exec(FIGURE, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names: dict[str, Any] = {}
    exec(IMPORT, names)
    added = eval(f"{{{ENTRY.strip()}}}", names)
    monkeypatch.setattr("analysis.report.figures.CHARTS", added)
    assert main([study, "--store", "runs", "--out", "figures"]) == 0
    assert Path("figures/train_loss.png").exists()


def test_the_files_that_it_names_exist() -> None:
    root = Path(__file__).parents[2]
    for path in re.findall(r"`((?:analysis|tests)/[\w/]+(?:\.py)?)`", PAGE):
        assert "train_loss" in path or (root / path).exists(), path
