"""A store with an empty record, for the tests of MLflow's side."""

import shutil
from pathlib import Path

import pytest
from nowt.record.database import connect


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them: making one takes seconds, copying it does not."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    connect(path)
    return path


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Path:
    """A store with a space in its name and an empty record."""
    folder = tmp_path / "my runs"
    folder.mkdir()
    shutil.copy(empty, folder / "mlflow.db")
    return folder
