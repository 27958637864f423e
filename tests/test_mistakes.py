"""What the command line answers where the place, the pictures or the rule cannot be used: one line, nothing begun."""

from pathlib import Path

import pytest
from nowt.cli import main
from small_studies import BROKEN

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(words: str, code: int, capsys: Captured) -> str:
    """The one line that is printed besides the exit code."""
    assert main(words.split()) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("nowt: ") and err.count("\n") == 1, err
    return err


@pytest.mark.parametrize("command", ["train digits", "ablate rules_on_digits", "plan rules_on_digits", "certify fa"])
def test_a_store_that_cannot_be_written_is_refused(command: str, here: Path, capsys: Captured) -> None:
    (here / "afile").touch()
    for store in ("afile", "afile/below", "/proc/nope"):
        told = answer(f"{command} --store {store}", 2, capsys)
        assert "--store is" in told and ("afile is a file" in told or "written in /proc" in told)
    assert [path.name for path in here.iterdir()] == ["afile"]


def test_certify_names_the_option_of_the_folder_that_cannot_be_written(here: Path, capsys: Captured) -> None:
    (here / "afile").touch()
    assert "--out is 'afile'" in answer("certify fa --out afile", 2, capsys)


def test_any_other_trouble_with_a_file_is_one_line(here: Path, capsys: Captured) -> None:
    (here / "afile").touch()
    (here / "logs").mkdir()
    (here / "logs" / "0123.jsonl").mkdir()
    assert "Is a directory: " in answer("runs --store .", 2, capsys)
    with pytest.raises(IsADirectoryError):
        main(["runs", "--store", ".", "--debug"])


def test_doctor_says_that_the_store_cannot_be_written(capsys: Captured) -> None:
    assert main(["doctor", "--store", "/proc/nope"]) == 1
    told = capsys.readouterr().out
    assert "the store /proc/nope cannot be written" in told and "GB free" not in told


def test_a_rule_that_raises_while_it_is_certified_is_named(here: Path, capsys: Captured) -> None:
    (here / "mine.py").write_text(BROKEN.replace("== 5", ">= 0"))
    told = answer("certify ./mine.py", 1, capsys)
    assert "./mine.py raised RuntimeError: no such layer [/dense] (--debug shows where)" in told
