"""The notebook in docs/ runs on a small store and shows what its text describes."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from nowt.tracking.recorder import Recorder
from tests.support.mlflow_contents import study_file_of
from tests.support.synthetic_store import rules_study, write_store

NOTEBOOK = Path(__file__).parents[2] / "docs" / "your_own_figures.ipynb"


def test_the_notebook_runs_from_its_first_cell_to_its_last(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_store(store, rules_study(seeds=3, epochs=4), diverged={("fa", 2): 2})
    Recorder.open(store, study_file_of(store, study.key))
    store.rename(tmp_path / "runs")
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = "".join(output.get("text", "") for output in shown)
    assert "15 runs (14 finished, 1 diverged), 1 study" in printed
    for rule in ("fa", "ss", "wm", "kp"):
        assert f"{rule} - bp: " in printed
    (figure,) = [output["data"]["image/svg+xml"] for output in shown if "image/svg+xml" in output.get("data", {})]
    assert "Angle between B and W (degrees)" in figure


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
