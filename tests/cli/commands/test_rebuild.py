"""``nowt rebuild`` rebuilds MLflow's database and the frames."""

from pathlib import Path

import pytest

from analysis.frames.store.store import read_store
from nowt.cli.commands import rebuild
from nowt.cli.main import main
from tests.support.synthetic_store import rules_study, write_store


def test_rebuild_reports_what_it_wrote_and_replaces_old_frames(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(store, rules_study(names=["bp", "kp"], seeds=1, epochs=2), layers=3)
    read_store(store)
    stale = store / "frames" / "epochs-from-another-time.parquet"
    stale.write_text("no Parquet")
    assert main(["rebuild", "--store", str(store)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"2 runs written to {store}/mlflow.db",
        f"2 runs, 6 epochs and 9 layers of them written to {store}/frames",
    ]
    assert not stale.exists()
    assert len(read_store(store).layers) == 9


def test_without_the_analysis_package_no_frames_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_store(tmp_path, rules_study(names=["bp"], seeds=1, epochs=1))
    monkeypatch.setattr("nowt.studies.lookup.find_frames", lambda: None)
    assert rebuild.rebuild_frames(tmp_path) == "no frames written: nowt is installed without its analysis"
    assert not (tmp_path / "frames").exists()
