"""What an installed nowt brings: commands, studies and a machine without problems."""

import ast
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import searchspaces
from nowt.cli.main import main
from nowt.config.run_key import run_key
from nowt.studies.lookup import find_study

STUDIES = sorted(entry_points(group="nowt.studies").names)


def test_doctor_finds_no_problem_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor"])
    message = capsys.readouterr().out.splitlines()
    failed = [line for line in message if not line.startswith("ok ")]
    assert (code == 0 and failed == []) or (code == 1 and "GB free" in "".join(failed))


def test_python_dash_m_nowt_is_nowt(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nowt", "train", "digits", "--optim.lrr", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "did you mean --optim.lr?" in done.stderr


def test_every_study_file_is_installed() -> None:
    files = {p.stem for p in Path(searchspaces.__path__[0]).glob("*.py") if "def study()" in p.read_text()}
    assert files == {*STUDIES}


@pytest.mark.parametrize("name", STUDIES)
def test_an_installed_study_is_a_page_of_a_lab_book(name: str) -> None:
    study = find_study(name)
    assert study.name == name and study.reference in [cell.name for cell in study.cells]
    assert len({run_key(config, "") for _, _, config in study.runs()}) == len(study.cells) * len(study.seeds)
    page = ast.get_docstring(ast.parse(Path(searchspaces.__path__[0], f"{name}.py").read_text())) or ""
    assert page.splitlines()[0].endswith("?") and study.question.endswith("?")
    for line in ("Paper", "Expected", "Cost", "Command"):
        assert re.search(rf"^{line}\s+\S", page, re.MULTILINE), line
    assert re.search(rf"^Command\s+nowt ablate {name}\b", page, re.MULTILINE)


def test_installed_studies_have_distinct_keys() -> None:
    keys = [find_study(name).key for name in STUDIES]
    assert len(set(keys)) == len(keys)
