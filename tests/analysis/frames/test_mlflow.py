"""MLflow experiments as frames, from a database and from a server, and errors for wrong addresses."""

import math
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from werkzeug.serving import make_server

from analysis.frames import mlflow as mlflow_frames
from analysis.frames.mlflow import METRICS, RUNS, MlflowFrames, read_mlflow
from nowt.tracking.database import database_uri

NAMES = ("loss", "a/long name: of a metric")


@pytest.fixture
def lab(store: Path) -> str:
    """The database of a lab with two experiments; in the first three runs, one of them without any number."""
    client = MlflowClient(tracking_uri=database_uri(store / "mlflow.db"))
    experiment = client.create_experiment("feedback alignment")
    other = client.create_experiment("something else")
    client.create_experiment("nothing yet")
    for number in range(3):
        run = client.create_run(experiment, 1_700_000_000_000 + number, {"lab": "ours"}, f"run {number}")
        client.log_param(run.info.run_id, "lr", 0.1 * number)
        values = [Metric(name, _value(number, step), 1000 + step, step) for name in NAMES for step in range(5)]
        client.log_batch(run.info.run_id, metrics=values if number else [])
        client.set_terminated(run.info.run_id, "FINISHED" if number else "FAILED", 1_700_000_009_000)
    client.create_run(other, 1_700_000_000_000, {}, "under way")
    gone = client.create_run(experiment, 0)
    client.delete_run(gone.info.run_id)
    return database_uri(store / "mlflow.db")


def _value(number: int, step: int) -> float:
    return float("nan") if (number, step) == (1, 4) else number + step / 10


def assert_the_lab(found: MlflowFrames) -> None:
    assert {name: str(kind) for name, kind in found.metrics.dtypes.items()} == METRICS
    assert {name: str(kind) for name, kind in found.runs.dtypes.items()} == RUNS | {
        "params.lr": "str",
        "tags.lab": "str",
    }
    runs = found.runs.set_index("name")
    assert runs["status"].to_dict() == {"run 0": "FAILED", "run 1": "FINISHED", "run 2": "FINISHED"}
    assert runs.loc["run 2", "params.lr"] == "0.2"
    assert runs.loc["run 1", "started"] == pd.Timestamp(1_700_000_000_001, unit="ms", tz="UTC")
    assert len(found.metrics) == 2 * 2 * 5
    for number in (1, 2):
        for name in NAMES:
            mine = found.metrics[
                (found.metrics["run"] == runs.loc[f"run {number}", "run"]) & (found.metrics["metric"] == name)
            ]
            assert list(mine["step"]) == list(range(5))
            expected = [_value(number, step) for step in range(5)]
            assert all(
                a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(mine["value"], expected, strict=True)
            )


def test_a_database_is_read_completely(lab: str) -> None:
    assert_the_lab(read_mlflow(lab, "feedback alignment"))


@pytest.fixture
def server(lab: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The lab's database behind MLflow's own web application, in a thread of this process."""
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", lab)
    from mlflow.server import app, handlers

    monkeypatch.setattr(handlers, "_tracking_store", None)
    served = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{served.server_port}"
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


@pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi is deprecated")  # in MLflow's own server
def test_a_server_is_read_completely_even_without_the_bulk_call(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_the_lab(read_mlflow(server, "feedback alignment"))
    for most in (4, 5, 7):  # histories longer than one answer
        monkeypatch.setattr(mlflow_frames, "VALUES_A_CALL", most)
        assert_the_lab(read_mlflow(server, "feedback alignment"))
    monkeypatch.setattr(mlflow_frames, "BULK", "/ajax-api/2.0/mlflow/metrics/no-such-call")
    assert_the_lab(read_mlflow(server, "feedback alignment"))


def test_an_experiment_without_runs_has_empty_frames(lab: str) -> None:
    found = read_mlflow(lab, "nothing yet")
    assert found.runs.empty
    assert {name: str(kind) for name, kind in found.metrics.dtypes.items()} == METRICS


def test_an_active_run_has_no_end_time(lab: str) -> None:
    runs = read_mlflow(lab, "something else").runs
    assert {name: str(kind) for name, kind in runs.dtypes.items()} == RUNS
    assert list(runs["status"]) == ["RUNNING"]
    assert runs["ended"].isna().all()


def test_the_error_for_an_unknown_experiment_names_the_nearest(lab: str) -> None:
    with pytest.raises(
        ValueError, match=r"no experiment 'feedback' \(did you mean feedback alignment\?\); it has: "
    ) as error:
        read_mlflow(lab, "feedback")
    assert "\n" not in str(error.value)


def test_an_address_without_mlflow_is_a_one_line_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(
        ValueError, match=rf"^no MLflow server answers at http://127.0.0.1:{port} \(.*refused\): start it"
    ):
        read_mlflow(f"http://127.0.0.1:{port}", "x")
    with pytest.raises(ValueError, match=r"^there is no MLflow database at \S+/none.db"):
        read_mlflow(database_uri(tmp_path / "none.db"), "x")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "odd.db").write_text("no database")
    with pytest.raises(ValueError, match=r"odd.db is not an MLflow database$"):
        read_mlflow(database_uri(tmp_path / "odd.db"), "x")
    with pytest.raises(ValueError, match=r"^there is no folder \S+nowhere: give the tracking URI"):
        read_mlflow(str(tmp_path / "nowhere"), "x")


def test_a_server_other_than_mlflow_is_a_one_line_error(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout
            port = server.stdout.readline().split(" port ")[1].split()[0]
            with pytest.raises(ValueError, match=rf"^MLflow at http://127.0.0.1:{port} cannot be read: .*404") as error:
                read_mlflow(f"http://127.0.0.1:{port}", "x")
            assert "\n" not in str(error.value)
        finally:
            server.terminate()
