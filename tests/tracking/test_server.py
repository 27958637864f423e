"""The tracking server: protected by a password, and complete after kills and lost answers.

On PostgreSQL if it is installed, otherwise on SQLite.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from sqlalchemy import create_engine, text

from nowt.cli.main import main
from nowt.store.records import RunLog
from nowt.store.run_log import read, read_all
from nowt.tracking import background
from nowt.tracking.background import record_in_background
from nowt.tracking.outbox import undelivered
from nowt.tracking.projection import metrics_of
from tests.support.mlflow_contents import epoch, run_names, start, train_again
from tests.support.postgres import programs, server
from tests.support.recorded_runs import eight_runs, recording, write_epochs
from tests.support.synthetic_store import key_of, rules_study, write_store
from tests.support.tracking_server import (
    Served,
    children,
    free_port,
    listening,
    losing_answers,
    posted,
    status,
    wait_until,
)

PROGRAMS = programs()

PATHS = ("/", "/version", "/api/2.0/mlflow/experiments/search?max_results=1", "/graphql", "/signup", "/get-artifact")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        backend = ""
        if PROGRAMS is not None:
            database = stack.enter_context(server(PROGRAMS))
            patch.setenv("PGPASSFILE", str(database.password_file))
            backend = database.url
        found = Served(tmp_path_factory.mktemp("kept"), backend)
        write_store(found.store, rules_study("own", names=["bp"], seeds=1, epochs=2))
        said = found.start()
        assert found.password not in said  # its output may be kept
        patch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        patch.setenv("MLFLOW_TRACKING_PASSWORD", found.password)
        patch.setattr(background, "LONGEST_PAUSE", 1.0)
        yield found
        if found.process is not None and found.process.poll() is None:
            found.interrupt()


@pytest.mark.parametrize("path", PATHS)
def test_every_path_needs_the_password_and_the_default_password_of_mlflow_is_refused(served: Served, path: str) -> None:
    assert status(served.url + path) == 401
    assert status(served.url + path, "password1234") == 401


def test_the_password_gives_access_and_its_file_is_private(served: Served) -> None:
    assert status(f"{served.url}/api/2.0/mlflow/experiments/search?max_results=1", served.password) == 200
    assert served.store.joinpath("keeper").stat().st_mode & 0o777 == 0o700
    for path in served.store.joinpath("keeper").rglob("*"):
        assert not path.stat().st_mode & 0o077, path


def test_the_server_listens_on_localhost_only_and_no_command_line_has_a_secret(served: Served) -> None:
    assert listening(served.port) == {"0100007F"}  # 127.0.0.1
    assert served.process is not None
    family = [served.process.pid]
    for pid in family:
        family += children(pid)
    lines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family).decode()
    secrets = [served.password, (served.store / "keeper" / "signing-key").read_text()]
    assert len(family) >= 3 and not any(secret in lines for secret in secrets)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--port", "0"], "--port is 0: it must be from 1 to 65535"),
        (["--backend", "mine"], "--backend is 'mine': give a URL such as postgresql://USER@HOST/NAME"),
        (["--backend", "postgresql://me:secret@host/name"], "contains a password, which others can read"),
        (
            ["--backend", "postgresql://me@host/name?password=secret"],
            "--backend postgresql://me@host/name contains a password",
        ),
        (["--backend", "postgresql://me@host/name?sslpassword=secret&port=1"], "host/name?port=1 contains a password"),
    ],
)
def test_invalid_options_are_reported(
    words: list[str], fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--store", str(tmp_path), *words]) == 2
    said = capsys.readouterr().err
    assert fault in said and "secret" not in said


def test_a_port_in_use_is_reported(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--store", str(tmp_path), "--port", str(served.port)]) == 2
    assert f"--port {served.port} is in use on 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "fault"),
    [("server", "must be the URL of an MLflow server"), ("http://admin:pw@127.0.0.1:1", "contains a user or password")],
)
def test_an_invalid_url_is_reported_before_a_study_starts(
    url: str, fault: str, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOWT_RECORD", url)
    assert main(["deliver", "--store", str(store)]) == 2
    assert fault in capsys.readouterr().err
    with pytest.raises(ValueError, match=fault), record_in_background(store, None):
        pass


def test_the_files_of_a_server_are_in_its_store_whatever_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Served(tmp_path / "lab?1 %41", "")
    write_store(lab.store, rules_study("lab", names=["bp"], seeds=1, epochs=1))
    lab.start()
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", lab.password)
        client = MlflowClient(lab.url)
        run = client.create_run(client.create_experiment("one"))
        client.log_text(run.info.run_id, "whole", "a.txt")
        assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["a.txt"]
    finally:
        assert lab.interrupt() == 0
    keeper = tmp_path / "lab?1 %41" / "keeper"
    assert (keeper / "mlflow.db").exists() and (keeper / "auth.db").exists()
    assert [path.read_text() for path in keeper.rglob("a.txt")] == ["whole"]
    assert [path.name for path in tmp_path.iterdir()] == ["lab?1 %41"]


Points = list[tuple[str, int, int, float]]  # name, epoch, time, value


def points(served: Served, key: str) -> Points:
    """All metrics that the server's database has of a run, by epoch."""
    backend = served.backend and f"{served.backend}&client_encoding=utf8"
    engine = create_engine(backend or f"sqlite:///{served.store}/keeper/mlflow.db")
    pages = "SELECT run_uuid FROM tags WHERE key = 'nowt.key' AND value = :key"
    alive = "SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active'"
    with engine.connect() as connection:
        found = connection.execute(
            text(
                f"SELECT key, step, timestamp, value FROM metrics WHERE run_uuid IN ({pages}) AND run_uuid IN ({alive})"
            ),
            {"key": key},
        ).fetchall()
    engine.dispose()
    return sorted((str(name), int(step), int(time_ms), float(value)) for name, step, time_ms, value in found)


def logged(run: RunLog) -> Points:
    """The metrics that it should have: each metric of each epoch once, with the time of the log."""
    pairs = zip(run.epochs, run.times, strict=True)
    return sorted((name, e.epoch, ms, value) for e, ms in pairs for name, value in metrics_of(e).items())


def test_the_server_has_every_epoch_once_after_it_was_killed_during_eight_runs(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def have(epochs: int) -> bool:
        return all(len({step for _, step, _, _ in points(served, key)}) >= epochs for key in runs.writers)

    store = tmp_path / "runs"
    with eight_runs(store, served.url) as runs:
        runs.write(0, 15)
        wait_until(lambda: have(5), 120, "five epochs of each run")
        assert "MLflow's server exited with code" in served.kill()
        runs.write(15, 45)
        assert_eight_runs_wait(store, served.url, capsys)
        served.start()
        wait_until(lambda: have(45), 120, "what it missed")
        runs.write(45, 60)
        runs.finish()
    assert main(["deliver", "--store", str(store), "--to", served.url]) == 0  # which finds nothing to add
    assert f"uploaded 0 runs to {served.url}" in capsys.readouterr().out
    for key in runs.writers:
        assert points(served, key) == logged(read(store / "logs" / f"{key}.jsonl"))
    assert undelivered(store, read_all(store)) == []


def assert_eight_runs_wait(store: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The epochs since the server was killed are counted, and `nowt runs` reports them."""
    waiting = undelivered(store, read_all(store))
    assert waiting[0].runs == 8 and waiting[0].epochs >= 8 * 29
    assert main(["runs", "--store", str(store)]) == 0
    assert f"8 runs are not yet delivered to {url} ({waiting[0].epochs} epochs): " in capsys.readouterr().out


def test_a_finished_run_does_not_wait_for_an_unavailable_server_and_can_be_delivered_to_another(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away, writer = f"http://127.0.0.1:{free_port()}", start(tmp_path, "bbbbbbbbbbbb")
    with recording(tmp_path, None, away) as record:
        write_epochs(writer, record, 0, 3)
        writer.end("finished")
        begun = time.monotonic()
    assert time.monotonic() - begun < 30
    assert [(waits.url, waits.epochs) for waits in undelivered(tmp_path, read_all(tmp_path))] == [(away, 3)]
    assert main(["deliver", "--store", str(tmp_path), "--to", served.url]) == 0
    assert f"uploaded 1 run to {served.url}" in capsys.readouterr().out
    assert points(served, writer.run.key) == logged(writer.run)


def test_requests_whose_answer_was_lost_are_not_repeated(served: Served, tmp_path: Path) -> None:
    writers = [start(tmp_path, f"aaaaaaaaaaa{digit}") for digit in range(2)]
    with losing_answers(served.port, every=3) as url, recording(tmp_path, None, url) as record:
        for number in range(12):
            for writer in writers:
                writer.epoch(epoch(number))
                record.update(writer.run, "", 0)
            time.sleep(0.1)
        for writer in writers:
            writer.end("finished")
            record.update(writer.run, "", 0)
        wait_until(lambda: undelivered(tmp_path, read_all(tmp_path)) == [], 120, "everything")
    for writer in writers:
        assert points(served, writer.run.key) == logged(writer.run)


def test_the_runs_of_the_servers_store_are_uploaded_automatically(served: Served) -> None:
    (run,) = read_all(served.store)
    wait_until(lambda: points(served, run.key) == logged(run), 60, "the run of the store that is served")


def test_a_run_that_was_trained_again_is_marked_on_the_server(served: Served, tmp_path: Path) -> None:
    study = write_store(tmp_path, rules_study("again", names=["bp"], seeds=1, epochs=2))
    assert main(["deliver", "--store", str(tmp_path), "--to", served.url]) == 0
    old, new = key_of(study, "bp", 0), train_again(tmp_path, study.key, 0)
    assert main(["deliver", "--store", str(tmp_path), "--to", served.url]) == 0
    assert run_names(MlflowClient(served.url), study.key) == {
        old: ("bp, seed 0, tiny_resnet (superseded)", new),
        new: ("bp, seed 0, tiny_resnet", ""),
    }


def test_a_new_user_sees_no_run_without_permission(served: Served) -> None:
    api, admin, guest = f"{served.url}/api/2.0/mlflow", ("admin", served.password), ("guest", "a guest's password")
    made = posted(f"{api}/users/create", {"username": guest[0], "password": guest[1]}, admin)
    assert made["user"]["username"] == "guest"

    def found(what: str, by: tuple[str, str], **more: Any) -> list[dict[str, Any]]:
        return list(posted(f"{api}/{what}/search", {"max_results": 100, **more}, by).get(what, []))

    def everywhere() -> list[str]:
        return [each["experiment_id"] for each in found("experiments", admin)]

    wait_until(lambda: found("runs", admin, experiment_ids=everywhere()), 60, "the runs of the store that is served")
    assert found("experiments", guest) == found("runs", guest, experiment_ids=everywhere()) == []
    for run in found("runs", admin, experiment_ids=everywhere()):
        address = f"{api}/runs/get?run_id={run['info']['run_id']}"
        assert (status(address, *reversed(admin)), status(address, *reversed(guest))) == (200, 403)


def test_a_wrong_password_is_reported_in_one_line(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    assert main(["deliver", "--store", str(served.store), "--to", served.url]) == 2
    said = capsys.readouterr().err
    assert "was not delivered to" in said and "401" in said and len(said.splitlines()) == 1


def test_ctrl_c_stops_the_server_and_all_its_children(served: Served) -> None:
    assert served.process is not None
    (server_,) = children(served.process.pid)
    family = [server_, *children(server_)]
    assert served.interrupt() == 0
    assert listening(served.port) == set()
    assert not any(Path(f"/proc/{pid}").exists() for pid in family)
