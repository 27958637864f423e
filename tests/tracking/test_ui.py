"""MLflow's web page on localhost."""

import json
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from nowt.tracking.recorder import Recorder
from nowt.tracking.ui import ui_command
from tests.support.mlflow_contents import study_file_of
from tests.support.synthetic_store import rules_study, write_store


def test_a_store_without_mlflow_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowt rebuild restores it from the logs"):
        ui_command(tmp_path, 5000)


def test_the_web_page_is_served_on_localhost_on_another_port_if_the_first_is_in_use(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = store / "runs?1 %41"  # whose name means something else in a URL
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    Recorder.open(store, study_file_of(store, study.key))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        command = ui_command(store, taken)
    port = int(command[command.index("--port") + 1])
    assert port != taken
    assert (
        f"Port {taken} is in use. MLflow will be available in a few seconds at http://127.0.0.1:{port}/#/experiments/1/runs"
        in (capsys.readouterr().out)
    )
    assert command[command.index("--host") + 1] == "127.0.0.1"
    with subprocess.Popen(command, cwd=store, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            found = answer_of(f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=10")
        finally:
            server.terminate()
    assert {experiment["name"] for experiment in found["experiments"]} == {study.key, "Default"}


def answer_of(address: str) -> dict[str, Any]:
    for _ in range(120):
        try:
            with urllib.request.urlopen(address, timeout=20) as reply:
                answer: dict[str, Any] = json.load(reply)
                return answer
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{address} did not answer within a minute")
