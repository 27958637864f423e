"""MLflow's database and artifacts are in their store: whatever its name, and after it was moved or copied."""

import errno
import shutil
from pathlib import Path

import pytest

from nowt.cli.commands.report import _attached
from nowt.store.study_file import read_study_files
from nowt.tracking.database import _create, connect
from nowt.tracking.recorder import Recorder
from nowt.tracking.report_artifacts import attach_report
from tests.support.mlflow_contents import client_of, study_file_of
from tests.support.synthetic_store import rules_study, write_store

NAMES = ["runs?1", "50%41", "a#b", "größe %3F", "{x}"]


def recorded(store: Path) -> str:
    """Write a store with one run, record it in MLflow, and return the key of its study."""
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    Recorder.open(store, study_file_of(store, study.key))
    return study.key


def artifacts(store: Path) -> set[str]:
    """Return the artifacts of all runs, as MLflow finds them."""
    client = client_of(store)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return {file.path for run in runs for file in client.list_artifacts(run.info.run_id)}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_the_database_is_in_the_store_whatever_its_name(name: str, tmp_path: Path) -> None:
    recorded(tmp_path / name)
    assert (tmp_path / name / "mlflow.db").exists()
    assert "config.json" in artifacts(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["moved", "moved?1 %41"])
def test_the_artifacts_of_a_moved_store_are_found_and_new_ones_go_there(name: str, tmp_path: Path) -> None:
    old, new = tmp_path / "runs", tmp_path / name
    study = recorded(old)
    found = artifacts(old)
    old.rename(new)
    connect(new / "mlflow.db")
    assert artifacts(new) == found != set()
    (tmp_path / "report.md").write_text("# Report")
    attach_report(new, study, [tmp_path / "report.md"])
    assert "report" in artifacts(new)
    assert not old.exists()


def test_a_copy_of_a_store_writes_into_itself(tmp_path: Path) -> None:
    study = recorded(tmp_path / "runs")
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    before = files(tmp_path / "runs")
    (tmp_path / "report.md").write_text("# Report")
    attach_report(tmp_path / "copy", study, [tmp_path / "report.md"])
    assert files(tmp_path / "runs") == before
    assert any(name.endswith("report.md") for name in files(tmp_path / "copy"))


def test_a_store_that_is_reached_by_another_path_keeps_its_places(tmp_path: Path) -> None:
    recorded(tmp_path / "runs")
    before = (tmp_path / "runs" / "mlflow.db").read_bytes()
    (tmp_path / "link").symlink_to("runs")
    connect(tmp_path / "link" / "mlflow.db")
    assert (tmp_path / "runs" / "mlflow.db").read_bytes() == before
    assert read_study_files(tmp_path / "link")


def test_for_a_copy_that_cannot_be_written_no_repair_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a read-only copy, in which nobody can delete or rebuild the database that names the first store's folders."""
    copy = tmp_path / "copy"
    study = recorded(tmp_path / "runs")
    shutil.copytree(tmp_path / "runs", copy)

    def read_only(*given: object, **named: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("nowt.store.files.tempfile.TemporaryFile", read_only)
    monkeypatch.setattr("nowt.tracking.database.correct_artifact_places", lambda path: None)  # which needs to write
    (tmp_path / "report.md").write_text("# Report")
    assert _attached(copy, study, (tmp_path / "report.md",)) == [
        f"the report is not attached to the study in MLflow ({copy} is not writable: Read-only file system)"
    ]


def test_a_database_that_another_process_creates_at_the_same_time_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, exists = tmp_path / "mlflow.db", Path.exists

    class Client:
        def __init__(self, tracking_uri: str) -> None:
            self.file = Path(tracking_uri.removeprefix("sqlite:///"))

        def search_experiments(self, max_results: int) -> None:
            self.file.write_text("of this process")
            path.write_text("of the other process")

    monkeypatch.setattr("nowt.tracking.database.MlflowClient", Client)
    # as if the other process created it right after this one has looked
    monkeypatch.setattr(Path, "exists", lambda self: self != path and exists(self))
    _create(path)
    assert path.read_text() == "of the other process"
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]
