"""``STORE/keeper/`` of somebody else: nothing in it is run, and nothing outside is changed through it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nowt.store.database_files import check_database
from nowt.store.files import private_folder
from nowt.tracking.server import tracking_server
from nowt.tracking.ui import web_page
from tests.security.test_databases import plant_journal, table
from tests.support.hostile_files import contents, refusal_of
from tests.support.tracking_server import free_port

STARTS: dict[str, Callable[[Path], object]] = {
    "ui": lambda store: web_page(store, 5000),
    "ui without a password": lambda store: web_page(store, 5000, password=False),
    "serve": lambda store: tracking_server(store, free_port(), ""),
}

starts = pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("nowt.tracking.ui._newest", lambda path: "")  # MLflow need not start
    (tmp_path / "store").mkdir()
    table(tmp_path / "store" / "mlflow.db")
    return private_folder(tmp_path / "store" / "keeper")


@starts
@pytest.mark.parametrize("name", ["mlflow.py", "sitecustomize.py", "json/__init__.py", "auth.db.py", "\x1b[2J", "x\ny"])
def test_a_keeper_with_other_files_than_those_of_nowt_is_refused(
    name: str, start: Callable[[Path], object], keeper: Path
) -> None:
    (keeper / name).parent.mkdir(exist_ok=True)
    (keeper / name).write_text("raise SystemExit('imported')")
    line = refusal_of(lambda: start(keeper.parent))
    assert "is not named as a file of nowt serve: move it out of the folder" in line


@starts
def test_a_keeper_that_is_a_link_is_refused(start: Callable[[Path], object], keeper: Path, outside: Path) -> None:
    keeper.rmdir()
    keeper.symlink_to(outside)
    mode = outside.stat().st_mode
    assert "keeper is a link: delete it" in refusal_of(lambda: start(keeper.parent))
    assert outside.stat().st_mode == mode


@starts
@pytest.mark.parametrize("name", ["credentials", "signing-key", "server.log", "ui-auth.ini", "auth.db", "artifacts"])
def test_a_file_of_the_keeper_that_is_a_link_or_a_pipe_is_refused(
    name: str, start: Callable[[Path], object], keeper: Path, outside: Path
) -> None:
    (keeper / name).symlink_to(outside / "secret.json")
    assert f"{name} is a link" in refusal_of(lambda: start(keeper.parent))
    (keeper / name).unlink()
    os.mkfifo(keeper / name)
    assert f"{name} is not a f" in refusal_of(lambda: start(keeper.parent))


@starts
def test_a_journal_in_the_keeper_deletes_no_file(start: Callable[[Path], object], keeper: Path, outside: Path) -> None:
    plant_journal(table(keeper / "ui-auth.db"), outside / "secret.json")
    plant_journal(table(keeper / "mlflow.db"), outside / "secret.json")
    assert "names another file, which SQLite would delete" in refusal_of(lambda: start(keeper.parent))
    assert refusal_of(lambda: check_database(keeper / "ui-auth.db"))


@starts
def test_a_keeper_in_which_others_may_have_written_is_refused(start: Callable[[Path], object], keeper: Path) -> None:
    keeper.chmod(0o770)
    line = refusal_of(lambda: start(keeper.parent))
    assert "other users can open" in line and "chmod 700" in line
    assert contents(keeper) == {}


@starts
def test_a_keeper_of_another_user_is_refused(
    start: Callable[[Path], object], keeper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: keeper.stat().st_uid + 1)
    assert "belongs to another user" in refusal_of(lambda: start(keeper.parent))


@starts
def test_a_keeper_that_nowt_and_mlflow_wrote_is_used_again(start: Callable[[Path], object], keeper: Path) -> None:
    assert refusal_of(lambda: start(keeper.parent)) == ""
    for name in ("auth.db", "auth.db-journal", "mlflow.db-wal", "auth.ini", "server.log", "credentials.host-1-2.tmp"):
        (keeper / name).touch()
    (keeper / "artifacts" / "1").mkdir(parents=True)
    assert refusal_of(lambda: start(keeper.parent)) == ""
