"""A search whose decisions lie on a PostgreSQL server: the same trials, one driver, nothing lost."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from nowt.cli.main import main
from nowt.core.errors import ConfigError
from nowt.studies.search.storage_lock import exclusive_lock
from tests.support.optuna_storage import epochs_logged, told, trials
from tests.support.postgres import Server, programs, server
from tests.support.small_spaces import write_space
from tests.support.small_studies import SLOW, start, wait_for

PROGRAMS = programs()

pytestmark = pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed (Debian: postgresql)")


@pytest.fixture(scope="module")
def made() -> Iterator[Server]:
    assert PROGRAMS is not None
    with server(PROGRAMS) as found:
        yield found


@pytest.fixture
def database(made: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("PGPASSFILE", str(made.password_file))
    return made


def words(space: Path, store: Path, *more: str) -> list[str]:
    return ["search", str(space), "--store", str(store), "--in-process", *more]


def slow_space(folder: Path) -> Path:
    """A search of its own by its name, since all tests share one database."""
    (folder / "slow.py").write_text(SLOW)
    how = "sampler='tpe', stopping=EarlyStopping(first_rung=1)"
    return write_space(folder, "(part(Path(__file__).with_name('slow.py')),)", "Budget(2)", how, folder.name)


def test_killed_on_the_way_it_ends_with_the_trials_that_sqlite_has(tmp_path: Path, database: Server) -> None:
    space, undisturbed, killed = slow_space(tmp_path), tmp_path / "undisturbed", tmp_path / "killed"
    assert main(words(space, undisturbed)) == 0
    driver = start(words(space, killed, "--storage", database.url), tmp_path)
    wait_for(lambda: epochs_logged(killed) >= 3, 60, "3 epochs")
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    assert any(trial.state == TrialState.RUNNING for trial in trials(database.url)["slow"])
    assert main(words(space, killed, "--storage", database.url)) == 0
    assert told(database.url) == told(f"sqlite:///{undisturbed}/optuna.db")


def test_from_a_second_store_nobody_else_can_drive_it(
    tmp_path: Path, database: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    space = slow_space(tmp_path)
    driver = start(words(space, tmp_path / "one", "--storage", database.url), tmp_path)
    wait_for(lambda: epochs_logged(tmp_path / "one") >= 1, 60, "an epoch")
    assert main(words(space, tmp_path / "two", "--storage", database.url)) == 2
    assert "is already being run from another store on postgresql://keeper@/nowt" in capsys.readouterr().err
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    assert main(words(space, tmp_path / "one", "--storage", database.url)) == 0  # the lock went with its driver


def test_a_server_that_stops_ends_it_in_one_line_and_the_same_command_goes_on(tmp_path: Path, database: Server) -> None:
    space = slow_space(tmp_path)
    driver = start(words(space, tmp_path / "one", "--storage", database.url), tmp_path)
    wait_for(lambda: epochs_logged(tmp_path / "one") >= 2, 60, "2 epochs")
    database.stop()
    _, said = driver.communicate(timeout=60)
    database.start()
    assert driver.returncode == 2 and "Traceback" not in said
    assert "cannot be used" in said and "Nothing is lost; run the same command again to resume" in said
    assert main(words(space, tmp_path / "one", "--storage", database.url)) == 0
    found = [trial for _, _, *trial in told(database.url)]
    assert len(found) == 2 and all(state in (TrialState.COMPLETE, TrialState.PRUNED) for state, *_ in found)


def test_a_server_that_was_restarted_unseen_is_asked_again_to_keep_others_out(database: Server) -> None:
    with exclusive_lock(database.url, "any") as keep_hold:
        database.stop()
        database.start()  # between two epochs of a search, which needs the server at neither moment
        keep_hold()
        refused = pytest.raises(ConfigError, match="is already being run from another store")
        with refused, exclusive_lock(database.url, "any"):
            pass


def test_who_took_the_search_after_a_restart_has_it(database: Server) -> None:
    with exclusive_lock(database.url, "other") as keep_hold:
        database.stop()
        database.start()
        with exclusive_lock(database.url, "other"), pytest.raises(OSError, match="since the server was restarted"):
            keep_hold()
