"""A wrong value of a positional argument is named without the argument's name, which nobody types."""

from pathlib import Path

import pytest

from nowt.cli.main import build_parser, main
from nowt.config.placement import Placement


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("data prepare tinyimagenet a b", "'tinyimagenet' is not one of imagenet, tiny-imagenet (did you mean tiny-"),
        ("data prepar imagenet a b", "'prepar' is not one of prepare (did you mean prepare?)"),
        ("cluster prepar", "'prepar' is not one of prepare, teardown (did you mean prepare?)"),
    ],
)
def test_a_wrong_choice_is_named_by_itself(command: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"nowt: {message}") and err.count("\n") == 1


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder; the working folder is another one."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


OF_THE_HEAD = {("ui", "--store"), ("doctor", "--data-dir")}  # with --cluster these are folders on other machines


def test_every_option_that_names_a_folder_or_file_expands_the_home_folder(home: Path) -> None:
    """A shell does so in `--store ~/runs`, but not in `--store=~/runs`."""
    _, commands = build_parser()
    found = {
        (name, (action.option_strings or [action.dest])[-1]): action
        for name, parser in commands.choices.items()
        for action in parser._actions
        if action.metavar in ("DIR", "FILE", "SRC", "DST", "STORE")
    }
    assert {("train", "--store"), ("report", "--out"), ("merge", "other")} <= found.keys()
    for place, action in found.items():
        if place not in OF_THE_HEAD:
            assert callable(action.type), place
            assert action.type("~/runs") == f"{home}/runs", place


def test_a_store_in_the_home_folder_is_created_there(home: Path) -> None:
    assert main(["train", "digits", "--epochs", "1", "--data.train_limit", "64", "--store=~/runs"]) == 0
    assert [path.name for path in home.iterdir()] == ["runs"]
    assert not [*(home.parent / "here").iterdir()]


def test_the_page_of_a_store_in_the_home_folder_is_looked_for_there(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ui", "--store=~/runs"]) == 2
    assert f"{home}/runs" in capsys.readouterr().err


def test_a_home_folder_that_does_not_exist_is_an_error_of_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--store=~nobody-of-this-name/runs"]) == 2
    err = capsys.readouterr().err
    named = "'nobody-of-this-name', whose home folder '~nobody-of-this-name/runs' names"
    assert err == f"nowt: --store: there is no user {named}\n"


def test_a_placement_expands_the_home_folder(home: Path) -> None:
    placement = Placement(store="~/runs", data="~/images")
    assert (placement.store, placement.data) == (f"{home}/runs", f"{home}/images")
