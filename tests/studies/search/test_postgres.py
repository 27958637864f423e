"""A search with its trials on a PostgreSQL server: the same trials as with sqlite, one driver, nothing lost."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from optuna.trial import TrialState

from nowt.cli.main import main
from nowt.core.errors import ConfigError
from nowt.studies.search.storage_lock import exclusive_lock
from tests.support.optuna_storage import epochs_logged, trial_contents, trials_by_cell
from tests.support.postgres import Server, programs, server
from tests.support.small_spaces import write_space
from tests.support.small_studies import SLOW, start, store_with_database, wait_for

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
    """A space with a name of its own, because all tests share one database."""
    (folder / "slow.py").write_text(SLOW)
    how = "sampler='tpe', stopping=EarlyStopping(first_rung=1)"
    return write_space(folder, "(part(Path(__file__).with_name('slow.py')),)", "Budget(2)", how, folder.name)


def test_one_store_can_run_a_search_and_after_a_kill_its_trials_are_those_of_sqlite(
    tmp_path: Path, database: Server, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space, undisturbed = slow_space(tmp_path), tmp_path / "undisturbed"
    killed = store_with_database(tmp_path / "killed", empty)
    assert main(words(space, undisturbed)) == 0
    driver = start(words(space, killed, "--storage", database.url), tmp_path)
    wait_for(lambda: epochs_logged(killed) >= 3, 120, "3 epochs")
    capsys.readouterr()
    assert main(words(space, tmp_path / "another", "--storage", database.url)) == 2
    assert "is already being run from another store on postgresql://nowt@/nowt" in capsys.readouterr().err
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    assert any(trial.state == TrialState.RUNNING for trial in trials_by_cell(database.url)["slow"])
    assert main(words(space, killed, "--storage", database.url)) == 0  # the lock ended with its driver
    assert trial_contents(database.url) == trial_contents(f"sqlite:///{undisturbed}/optuna.db")


def test_a_stopped_server_is_an_error_of_one_line_and_the_search_resumes(
    tmp_path: Path, database: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    space = slow_space(tmp_path)

    def stop_after_two_epochs() -> None:
        wait_for(lambda: epochs_logged(tmp_path / "one") >= 2, 120, "2 epochs")
        database.stop()

    with ThreadPoolExecutor(1) as beside, monkeypatch.context() as patch:
        patch.setenv("PAUSE", "0.1")
        stopped = beside.submit(stop_after_two_epochs)
        code = main(words(space, tmp_path / "one", "--storage", database.url))
        stopped.result()
    database.start()
    err = capsys.readouterr().err
    assert code == 2 and "Traceback" not in err
    assert "cannot be used" in err and "Nothing is lost; run the same command again to resume" in err
    assert main(words(space, tmp_path / "one", "--storage", database.url)) == 0
    found = [trial for _, _, *trial in trial_contents(database.url)]
    assert len(found) == 2 and all(state in (TrialState.COMPLETE, TrialState.PRUNED) for state, *_ in found)


def test_a_search_that_is_refused_names_the_process_that_runs_it(database: Server) -> None:
    owner = f"process {os.getpid()} on {socket.gethostname()}"
    with (
        exclusive_lock(database.url, "named"),
        pytest.raises(ConfigError, match=f"postgresql://nowt@/nowt.* by {owner}: wait for it"),
        exclusive_lock(database.url, "named"),
    ):
        pass


FORKED = """
import multiprocessing, os, signal, sys, time
from nowt.studies.search.storage_lock import exclusive_lock
with exclusive_lock(sys.argv[1], "forked"):
    loader = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    loader.start()
    print(loader.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_forked_processes_that_outlive_a_killed_search_hold_no_lock_on_the_server(database: Server) -> None:
    killed = subprocess.Popen([sys.executable, "-c", FORKED, database.url], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    loader = int(killed.stdout.readline())
    try:
        killed.wait(30)
        wait_for(lambda: can_lock(database), 3, "the server to notice that the process has ended")
    finally:
        os.kill(loader, signal.SIGKILL)
        killed.stdout.close()


def can_lock(database: Server) -> bool:
    try:
        with exclusive_lock(database.url, "forked"):
            return True
    except ConfigError:
        return False


def test_the_lock_is_taken_again_after_a_restart_of_the_server(database: Server) -> None:
    with exclusive_lock(database.url, "any") as ensure_locked:
        database.stop()
        database.start()  # between two epochs of a search, which needs the server at neither moment
        ensure_locked()
        refused = pytest.raises(ConfigError, match="is already being run from another store")
        with refused, exclusive_lock(database.url, "any"):
            pass


def test_a_lock_that_another_process_took_after_a_restart_is_an_error(database: Server) -> None:
    with exclusive_lock(database.url, "other") as ensure_locked:
        database.stop()
        database.start()
        with exclusive_lock(database.url, "other"), pytest.raises(OSError, match="since the server was restarted"):
            ensure_locked()
