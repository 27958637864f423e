"""Databases of another version of Optuna, or that lack tables: reported in one line by merge and search."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.studies.search.database import open_database, schema_problem
from nowt.studies.search.merge_trials import merge_trials
from tests.store.sync.test_merge import search, url
from tests.support.optuna_storage import trial_contents
from tests.support.synthetic_store import rules_study, write_store

Captured = pytest.CaptureFixture[str]

OTHER_VERSION = "UPDATE alembic_version SET version_num = 'v9.9.9.a'"


def execute(store: Path, statement: str) -> Path:
    path = store / "optuna.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    return path


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Path, Path]:
    """Two stores with a search, of which the first has more trials."""
    other, store = tmp_path / "other", tmp_path / "my runs"
    write_store(other, rules_study(names=["bp"], seeds=1, epochs=1))
    search(other, 0.1, 0.2, 0.3)
    search(store, 0.1)
    return other, store


@pytest.mark.parametrize("place", [0, 1])
def test_a_database_of_another_version_of_optuna_is_not_merged(
    place: int, stores: tuple[Path, Path], capsys: Captured
) -> None:
    path = execute(stores[place], OTHER_VERSION)
    before = path.read_bytes()
    assert main(["merge", str(stores[0]), "--store", str(stores[1])]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"nowt: {path} was written by another version of Optuna (v9.9.9.a, not ")
    assert f"run optuna storage upgrade --storage sqlite:///{path}, or install that version" in err
    assert err.count("\n") == 1 and path.read_bytes() == before


def test_a_search_refuses_a_database_of_another_version_of_optuna(stores: tuple[Path, Path]) -> None:
    path = execute(stores[0], OTHER_VERSION)
    with pytest.raises(ValueError, match=r"was written by another version of Optuna \(v9\.9\.9\.a, not ") as caught:
        open_database(f"sqlite:///{path}")
    assert list(schema_problem(path)) == [str(caught.value)]


def test_a_database_that_lacks_a_table_is_reported_in_one_line(stores: tuple[Path, Path], capsys: Captured) -> None:
    path = execute(stores[1], "DROP TABLE trials")
    assert main(["merge", str(stores[0]), "--store", str(stores[1])]) == 2
    err = capsys.readouterr().err
    assert "cannot be merged (" in err and err.count("\n") == 1
    assert path.exists()


def test_trials_of_a_search_that_begins_meanwhile_are_kept(
    stores: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    other, store = stores
    before = trial_contents(url(store))
    exists: Callable[[Path], bool] = Path.exists
    asked: list[Path] = []

    def missing_at_first(path: Path) -> bool:
        asked.append(path)
        return exists(path) and len(asked) > 1

    monkeypatch.setattr(Path, "exists", missing_at_first)
    merge_trials(other, store)
    monkeypatch.undo()
    assert trial_contents(url(store)) == trial_contents(url(other)) != before
