"""MLflow's web page on localhost."""

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from nowt.tracking.recorder import Recorder
from nowt.tracking.ui import web_page
from tests.support.mlflow_contents import study_file_of
from tests.support.synthetic_store import rules_study, write_store


def test_a_store_without_mlflow_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowt rebuild restores it from the logs"):
        web_page(tmp_path, 5000)


def test_the_web_page_is_served_on_localhost_on_another_port_if_the_first_is_in_use(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = store / "runs?1 %41"  # whose name means something else in a URL
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    Recorder.open(store, study_file_of(store, study.key))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        page = web_page(store, taken)
    command = page.command
    port = int(command[command.index("--port") + 1])
    assert port != taken
    assert f"MLflow will be available in a few seconds at http://127.0.0.1:{port}/#/experiments/1/runs" in (
        printed := capsys.readouterr().out
    )
    credentials = store / "keeper" / "credentials"
    asks = f"Port {taken} is in use. The page asks for a user and a password: user admin, password in {credentials}\n"
    assert printed.startswith(asks)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    for name in ("mlflow", "uvicorn", "fastapi", "flask"):  # no code in the folder is run
        (page.folder / f"{name}.py").write_text("raise SystemExit('imported')")
    password = re.findall("mlflow_tracking_password = (.*)", credentials.read_text())[0]
    address = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=10"
    with subprocess.Popen(
        command, cwd=page.folder, env=page.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            found = answer_of(address, f"admin:{password}")
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(address, timeout=20)
        finally:
            server.terminate()
    assert credentials.stat().st_mode & 0o777 == 0o600
    assert {experiment["name"] for experiment in found["experiments"]} == {study.key, "Default"}


def test_without_a_password_the_first_line_says_so(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = web_page(store, 5000, password=False)
    assert "basic-auth" not in page.command and "MLFLOW_AUTH_CONFIG_PATH" not in page.environment
    assert "Every user of this machine can open this page and change runs" in capsys.readouterr().out.partition("\n")[0]


def answer_of(address: str, user: str) -> dict[str, Any]:
    request = urllib.request.Request(address, headers={"Authorization": f"Basic {b64encode(user.encode()).decode()}"})
    for _ in range(120):
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                answer: dict[str, Any] = json.load(reply)
                return answer
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{address} did not answer within a minute")
