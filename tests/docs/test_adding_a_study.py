"""docs/adding-a-study.md: its file is a study, and its commands work as written."""

import re
import shlex
from pathlib import Path

import pytest

from nowt.cli.main import main, parse
from nowt.studies.lookup import find_study

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-study.md").read_text(encoding="utf-8")
FILE = re.search(r"Create `(\w+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^nowt (.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's file, in the working folder."""
    assert FILE is not None
    name, text = FILE.groups()
    (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return name


def test_the_file_is_a_study_of_four_cells(study: str) -> None:
    found = find_study(study)
    assert [cell.name for cell in found.cells] == ["bp", "kp decay 0", "kp decay 0.001", "kp decay 0.01"]


def test_every_command_is_one_of_nowts(study: str) -> None:
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        parse(shlex.split(command))


def test_the_quick_study_runs_and_is_reported(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    quick = next(command for command in COMMANDS if "--quick" in command)
    assert main([*shlex.split(quick), "--in-process", "--seeds", "1"]) == 0
    assert main(["report", "kp_decay_quick", "--out", "figures"]) == 0
    assert Path("figures/report.html").exists()
