"""A command that reads a store refuses a missing one, and names the store beside it that may be meant."""

from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.store.existing import missing_store, nearest_store

COMMANDS = [
    "backup s3://bucket",
    "deliver --to http://127.0.0.1:1",
    "probe rules --metric cka",
    "rebuild",
    "report",
    "report --check figures",
    "runs",
    "runs --study rules",
    "show abc",
    "transfer rules --to digits",
    "ui",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_misspelt_store_is_refused_with_the_nearest_one(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab runs" / "logs").mkdir(parents=True)
    assert main([*command.split(), "--store", "lab-runs"]) == 2
    out, err = capsys.readouterr()
    wanted = "nowt: there is no store at lab-runs (did you mean lab runs?): give the folder that nowt ablate or nowt "
    assert (out, err) == ("", f"{wanted}search wrote (--store)\n")
    assert [each.name for each in tmp_path.iterdir()] == ["lab runs"]


def test_the_other_store_of_a_merge_and_that_of_an_upgrade_are_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab" / "studies").mkdir(parents=True)
    for command in ("merge lob", "upgrade lob"):
        assert main(command.split()) == 2
        assert "there is no store at lob (did you mean lab?): name the folder" in capsys.readouterr().err


def test_folders_that_are_no_stores_are_not_suggested(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert nearest_store(tmp_path / "rnus") == "" and missing_store(tmp_path / "runs") == ""
    (tmp_path / "runs" / "logs").mkdir()
    assert nearest_store(tmp_path / "rnus") == " (did you mean runs?)"
    assert nearest_store(tmp_path / "none" / "rnus") == ""
