"""A custom file may change the working folder: relative paths of the command line stay where they were, and are shown
as they were given."""

from pathlib import Path

import pytest

from nowt.cli.given_paths import as_given
from nowt.cli.main import main
from nowt.cli.parser import local_path
from nowt.store.run_log import read_all
from tests.support.small_studies import write_study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

MOVES = """
import os
from dataclasses import dataclass
from nowt import FeedbackAlignment

{at_import}

@dataclass(frozen=True)
class Moves(FeedbackAlignment):
    name = "moves"

    def after_step(self, layer, step):
        {in_training}
"""


@pytest.mark.parametrize("place", ["at_import", "in_training"])
def test_a_custom_file_that_changes_the_working_folder_leaves_the_store_where_it_is(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    code = {"at_import": "pass", "in_training": "pass", place: f"os.chdir({str(tmp_path / 'elsewhere')!r})"}
    (tmp_path / "moves.py").write_text(MOVES.format_map(code))
    write_study(tmp_path, '{"fa": small("fa")}')
    assert (
        main(["ablate", "./small.py", "--rule", "./moves.py", "--in-process", "--store", "my runs", "--epochs", "1"])
        == 0
    )
    assert [run.state for run in read_all(tmp_path / "my runs")] == ["finished"] * 2
    assert [*(tmp_path / "elsewhere").iterdir()] == []
    assert "Next: nowt report small --store 'my runs'    or    nowt ui --store 'my runs'\n" in capsys.readouterr().out


def test_relative_paths_are_shown_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [local_path(path) for path in ("a/runs", ".", "", "/b")] == [f"{tmp_path}/a/runs", str(tmp_path), "", "/b"]
    shown = as_given(f"{tmp_path}/a/runs, {tmp_path}/a/runs/logs in {tmp_path}; {tmp_path}2, {tmp_path}/c.")
    assert shown == f"a/runs, a/runs/logs in .; {tmp_path}2, ./c."
    assert as_given(f"file://{tmp_path}/a/runs /b/c") == f"file://{tmp_path}/a/runs /b/c"
