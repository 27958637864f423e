"""The store that commit cd3d9be wrote, as a fixture."""

import shutil
from pathlib import Path

import pytest

from tests.support.earlier_store import unpack


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the store of commit cd3d9be, its images and its custom files."""
    folder = tmp_path_factory.mktemp("earlier")
    unpack(folder)
    return folder


@pytest.fixture
def earlier(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that store, in the working folder, without MLflow's database, which takes seconds to rebuild."""
    folder = Path(shutil.copytree(written, tmp_path / "lab", ignore=shutil.ignore_patterns("mlflow.db", "artifacts")))
    monkeypatch.chdir(folder)
    return Path("runs")
