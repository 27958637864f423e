import json
import logging
import math
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from nowt.config import RunConfig, config_to_json
from nowt.log import Epoch, Layer, LogWriter, read
from nowt.record import Record, open_quietly, rebuild
from nowt.record.database import connect, database_uri
from nowt.record.projection import cut, flatten, numbers, run_page, study_page
from nowt.ui import ui_command
from synthetic_store import key_of, rules_study, write_store

NAN = float("nan")


@pytest.fixture(scope="module")
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


def sheet_of(store: Path, key: str) -> dict[str, Any]:
    sheet: dict[str, Any] = json.loads((store / "studies" / f"{key}.json").read_text())
    return sheet


def client_of(store: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=database_uri(store / "mlflow.db"))


def contents(store: Path) -> dict[str, Any]:
    """All that MLflow shows of a store, in plain data; a parent by its name, since MLflow invents the ids."""
    client = client_of(store)
    shown = {}
    for experiment in client.search_experiments():
        runs = client.search_runs([experiment.experiment_id])
        names = {run.info.run_id: run.info.run_name for run in runs}
        tags = {name: text for name, text in experiment.tags.items() if name.startswith("mlflow.note")}
        pages = sorted((page_of(client, run, names) for run in runs), key=lambda page: str(page["name"]))
        shown[experiment.name] = {"tags": tags, "runs": pages}
    return shown


def page_of(client: MlflowClient, run: Any, names: dict[str, str]) -> dict[str, Any]:
    tags = dict(run.data.tags)
    if "mlflow.parentRunId" in tags:
        tags["mlflow.parentRunId"] = names[tags["mlflow.parentRunId"]]
    folder = Path(run.info.artifact_uri.removeprefix("file://").replace("%20", " "))
    points = {
        (name, metric.step, metric.timestamp, metric.value)
        for name in run.data.metrics
        for metric in client.get_metric_history(run.info.run_id, name)
    }
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "start": run.info.start_time,
        "end": run.info.end_time,
        "tags": tags,
        "params": run.data.params,
        "points": points,
        "files": {path.name: path.read_text() for path in sorted(folder.glob("*"))},
    }


def shown_afresh(store: Path, empty: Path, folder: Path) -> dict[str, Any]:
    """What MLflow shows of the same logs when they are sent to an empty record."""
    for part in ("logs", "studies"):
        shutil.copytree(store / part, folder / part)
    shutil.copy(empty, folder / "mlflow.db")
    for path in sorted((folder / "studies").glob("*.json")):
        Record.open(folder, json.loads(path.read_text()))
    return contents(folder)


def epoch(number: int, *layers: Layer, test_error: float = 0.2) -> Epoch:
    base = Epoch(number, 10 * number, 0.1, 1.0, 0.5, 1.1, 0.4, NAN, test_error, 100 * number, 0, 1e6, 2.0, 0.1)
    return replace(base, layers=layers)


def start(folder: Path, key: str, seed: int = 0, certificate: str = "") -> LogWriter:
    writer = LogWriter.open(folder / "logs", key)
    writer.start(
        key,
        config=config_to_json(RunConfig(epochs=3, seed=seed)),
        fingerprint="pictures",
        classes=10,
        versions={"torch": "2.14.1"},
        git={"commit": "abc", "dirty": True},
        skipped=["a.jpg"],
        certificate=certificate,
    )
    return writer


def test_the_record_is_imported_without_torch() -> None:
    code = "import sys, nowt.record; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_setting_becomes_text_under_its_dotted_name() -> None:
    settings = {"rule": {"name": "kp", "last": None}, "sizes": [5, 3], "on": True, "lr": 1e-4, "empty": {}}
    assert flatten(settings) == {
        "rule.name": "kp",
        "rule.last": "none",
        "sizes": "[5, 3]",
        "on": "true",
        "lr": "0.0001",
        "empty": "{}",
    }


def test_angles_are_summed_up_over_the_layers_where_they_are_defined() -> None:
    layers = (Layer("a", 0, 80.0, NAN, 1.0), Layer("c", 2, 20.0, NAN, 3.0), Layer("b", 1, NAN, NAN, 2.0))
    found = numbers(epoch(1, *layers))
    assert {name: value for name, value in found.items() if "/" in name} == {
        "matrix_angle/min": 20.0,
        "matrix_angle/median": 50.0,
        "matrix_angle/max": 80.0,
        "matrix_angle/last_layer": 20.0,
        "norm_ratio/min": 1.0,
        "norm_ratio/median": 2.0,
        "norm_ratio/max": 3.0,
        "norm_ratio/last_layer": 3.0,
    }


def test_a_last_layer_without_an_angle_lends_it_from_no_other_layer() -> None:
    layers = (Layer("a", 0, 80.0, 10.0, 1.0), Layer("b", 1, NAN, 0.0, 1.0))
    found = numbers(epoch(1, *layers))
    assert "matrix_angle/last_layer" not in found
    assert found["matrix_angle/max"] == 80.0


def test_undefined_numbers_are_left_out() -> None:
    found = numbers(epoch(1, test_error=NAN))
    assert "test_loss" not in found and "test_error" not in found
    assert found["val_error"] == 0.4
    assert all(math.isfinite(value) for value in found.values())


def test_a_text_too_long_for_mlflow_keeps_both_ends_and_says_what_is_missing() -> None:
    text = "Traceback" + "x" * 20_000 + "ValueError: no"
    short = cut(text, 8000)
    assert len(short) <= 8000
    assert short.startswith("Traceback") and short.endswith("ValueError: no")
    assert "characters cut" in short
    assert cut("short", 8000) == "short"


def test_a_runs_page_says_what_it_is_and_where_it_comes_from(tmp_path: Path) -> None:
    run = start(tmp_path, "0123456789ab", seed=4).run
    page = run_page(run, {"key": "noise-12345678"}, "loud", 4)
    assert page.name == "loud, seed 4, bp, tiny_resnet"
    assert page.start == run.start["time"]
    assert page.params["optim.lr"] == "0.05"
    assert page.tags == {
        "nowt.key": "0123456789ab",
        "study": "noise-12345678",
        "cell": "loud",
        "rule": "bp",
        "model": "tiny_resnet",
        "seed": "4",
        "data.fingerprint": "pictures",
        "data.skipped": "1",
        "git.commit": "abc",
        "git.dirty": "true",
        "version.torch": "2.14.1",
        "attempts": "1",
        "state": "running",
        "reason": "",
    }


def test_a_cell_named_like_its_rule_is_named_once(tmp_path: Path) -> None:
    run = start(tmp_path, "0123456789ab").run
    assert run_page(run, {"key": "rules-12345678"}, "bp", 0).name == "bp, seed 0, tiny_resnet"


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ({}, "running"),
        ({"a": "finished"}, "running"),
        ({"a": "finished", "b": "diverged"}, "finished"),
        ({"a": "finished", "b": "failed"}, "failed"),
        ({"a": "failed", "b": "running"}, "running"),
    ],
)
def test_a_study_stands_as_its_runs_do(states: dict[str, str], state: str, tmp_path: Path) -> None:
    sheet = {"key": "s-1", "name": "s", "question": "?", "reference": "bp", "seeds": [0], "created": 1}
    sheet["runs"] = [{"key": key, "cell": key, "seed": 0} for key in "ab"]
    runs = {key: replace(start(tmp_path, key).run, state=name) for key, name in states.items()}
    assert study_page(sheet, runs).state == state


def test_a_study_is_an_experiment_and_a_parent_run_with_its_runs_below(store: Path) -> None:
    stand = {"diverged": {("kp", 0): 2}, "stopped": {("wm", 0): 1}, "missing": [("fa", 0)]}
    study = write_store(store, rules_study(seeds=1, epochs=3), **stand)  # type: ignore[arg-type]
    Record.open(store, sheet_of(store, study.key))
    shown = contents(store)[study.key]
    assert shown["tags"]["mlflow.note.content"] == study.question
    pages = {page["name"]: page for page in shown["runs"]}
    parent = pages.pop("study rules")
    assert parent["status"] == "RUNNING"
    assert parent["tags"]["progress"] == "1 running, 2 finished, 1 diverged, 1 not started"
    assert parent["tags"]["mlflow.note.content"] == study.question
    assert {name: (page["status"], page["tags"]["state"]) for name, page in pages.items()} == {
        "bp, seed 0, tiny_resnet": ("FINISHED", "finished"),
        "ss, seed 0, tiny_resnet": ("FINISHED", "finished"),
        "kp, seed 0, tiny_resnet": ("FINISHED", "diverged"),
        "wm, seed 0, tiny_resnet": ("RUNNING", "running"),
    }
    assert {page["tags"]["mlflow.parentRunId"] for page in pages.values()} == {"study rules"}
    assert pages["kp, seed 0, tiny_resnet"]["tags"]["reason"] == "the loss was not finite in epoch 3"


def test_numbers_carry_their_epoch_and_the_logs_own_time(store: Path) -> None:
    study = write_store(store, rules_study(names=["kp"], seeds=1, epochs=40))
    Record.open(store, sheet_of(store, study.key))
    run = read(store / "logs" / f"{key_of(study, 'kp', 0)}.jsonl")
    page = next(page for page in contents(store)[study.key]["runs"] if page["tags"].get("cell") == "kp")
    expected = {
        (name, e.epoch, time_ms, value)
        for e, time_ms in zip(run.epochs, run.times, strict=True)
        for name, value in numbers(e).items()
    }
    assert page["points"] == expected
    assert page["start"] == run.start["time"]
    assert page["end"] == run.times[-1]


def test_the_database_holds_no_undefined_number(store: Path) -> None:
    study = write_store(store, rules_study(seeds=1, epochs=2), test=False)
    Record.open(store, sheet_of(store, study.key))
    with sqlite3.connect(store / "mlflow.db") as database:
        flagged = database.execute("SELECT count(*) FROM metrics WHERE is_nan").fetchone()[0]
        names = {row[0] for row in database.execute("SELECT DISTINCT key FROM metrics")}
    database.close()
    assert flagged == 0
    assert "val_error" in names and "test_error" not in names


def test_sending_twice_changes_nothing(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp", "kp"], seeds=1, epochs=3))
    sheet = sheet_of(store, study.key)
    record = Record.open(store, sheet)
    before = contents(store)
    for run in sheet["runs"]:
        record.update(read(store / "logs" / f"{run['key']}.jsonl"), run["cell"], run["seed"])
    Record.open(store, sheet)
    assert contents(store) == before


def test_a_run_followed_live_is_shown_as_its_log_tells_it_at_every_moment(
    store: Path, empty: Path, tmp_path: Path
) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1), missing=[("bp", 0)])
    record = Record.open(store, sheet_of(store, study.key))
    key = key_of(study, "bp", 0)
    writer = start(store, key)

    happens: list[Callable[[], object]] = [
        lambda: writer.epoch(epoch(0)),
        lambda: writer.epoch(epoch(1)),
        lambda: writer.end("failed", "the machine went away"),
        lambda: writer.resume(1),
        lambda: writer.epoch(epoch(2)),
        lambda: writer.end("finished"),
    ]
    for number, happening in enumerate(happens):
        happening()
        record.update(writer.run, "bp", 0)
        folder = tmp_path / str(number)
        folder.mkdir()
        assert contents(store)[study.key] == shown_afresh(store, empty, folder)[study.key]
    page = next(page for page in contents(store)[study.key]["runs"] if "cell" in page["tags"])
    assert (page["status"], page["tags"]["attempts"]) == ("FINISHED", "2")
    assert "reason" not in page["tags"]


def test_what_the_record_missed_is_made_good_at_the_next_start(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1), missing=[("bp", 0)])
    sheet = sheet_of(store, study.key)
    writer = start(store, key_of(study, "bp", 0))
    writer.epoch(epoch(0))
    Record.open(store, sheet).update(writer.run, "bp", 0)
    writer.epoch(epoch(1))
    writer.epoch(epoch(2))
    writer.end("finished")
    Record.open(store, sheet)
    page = next(page for page in contents(store)[study.key]["runs"] if "cell" in page["tags"])
    assert {step for _, step, _, _ in page["points"]} == {0, 1, 2}
    assert page["status"] == "FINISHED"


def test_a_page_that_a_crash_left_half_made_is_completed(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    sheet = sheet_of(store, study.key)
    client = client_of(store)
    experiment = client.create_experiment(study.key, (store / "artifacts" / study.key).resolve().as_uri())
    key = key_of(study, "bp", 0)
    client.create_run(experiment, tags={"nowt.key": key}, run_name="bp, seed 0, tiny_resnet")
    Record.open(store, sheet)
    pages = [page for page in contents(store)[study.key]["runs"] if page["tags"]["nowt.key"] == key]
    assert len(pages) == 1
    assert pages[0]["params"]["rule.name"] == "bp"
    assert json.loads(pages[0]["files"]["config.json"])["epochs"] == 2
    assert pages[0]["tags"]["state"] == "finished"


def test_an_experiment_deleted_on_mlflows_page_comes_back_with_its_study(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    sheet = sheet_of(store, study.key)
    record = Record.open(store, sheet)
    before = contents(store)
    client_of(store).delete_experiment(record.experiment)
    Record.open(store, sheet)
    assert contents(store) == before


def test_more_seeds_reopen_a_finished_study(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    Record.open(store, sheet_of(store, study.key))
    write_store(store, rules_study(names=["bp"], seeds=2, epochs=2), missing=[("bp", 1)])
    Record.open(store, sheet_of(store, study.key))
    parent = next(page for page in contents(store)[study.key]["runs"] if "reference" in page["tags"])
    assert parent["status"] == "RUNNING"
    assert parent["tags"]["seeds"] == "0, 1"


def test_a_run_in_no_study_is_a_single_run_until_a_study_lists_it(store: Path) -> None:
    study = rules_study(names=["bp"], seeds=1, epochs=2)
    write_store(store, study)
    path = store / "studies" / f"{study.key}.json"
    sheet = json.loads(path.read_text())
    path.unlink()
    Record.open(store, None)
    (page,) = contents(store)["single runs"]["runs"]
    assert page["name"] == "bp, seed 0, tiny_resnet"
    assert "cell" not in page["tags"] and "mlflow.parentRunId" not in page["tags"]
    path.write_text(json.dumps(sheet))
    Record.open(store, sheet)
    assert contents(store)["single runs"]["runs"] == []
    assert len(contents(store)[study.key]["runs"]) == 2


def test_a_runs_config_and_certificate_lie_beside_it(store: Path) -> None:
    (store / "certificates").mkdir()
    (store / "certificates" / "certificate-bp.json").write_text('{"rule": "bp"}')
    start(store, "0123456789ab", certificate="certificate-bp.json")
    start(store, "abcdef012345", certificate="certificate-of-another.json")
    Record.open(store, None)
    files = {page["tags"]["nowt.key"]: page["files"] for page in contents(store)["single runs"]["runs"]}
    assert files["0123456789ab"].keys() == {"config.json", "certificate.json"}
    assert files["0123456789ab"]["certificate.json"] == '{"rule": "bp"}'
    assert json.loads(files["abcdef012345"]["config.json"])["epochs"] == 3
    assert files["abcdef012345"].keys() == {"config.json"}


def test_a_deleted_database_is_rebuilt_exactly(store: Path) -> None:
    first = write_store(store, rules_study(seeds=1, epochs=3), diverged={("kp", 0): 1}, created=5)
    second = write_store(store, rules_study("pairs", ["bp", "fa"], 1, 4), stopped={("fa", 0): 2}, created=9)
    single = start(store, "0123456789ab", seed=7)
    single.epoch(epoch(0))
    single.end("failed", "the disk is full")
    for study in (first, second):
        Record.open(store, sheet_of(store, study.key))
    Record.open(store, None)
    before = contents(store)
    (store / "mlflow.db").unlink()
    shutil.rmtree(store / "artifacts")
    assert rebuild(store) == 5 + 2 + 1
    assert contents(store) == before
    assert not list(store.glob(".mlflow*"))


def test_a_log_that_cannot_be_read_stops_a_rebuild_and_spares_the_old_record(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    Record.open(store, sheet_of(store, study.key))
    before = contents(store)
    (store / "logs" / "broken.jsonl").write_text("no log\n")
    with pytest.raises(ValueError, match=r"broken\.jsonl, line 1 is not a line of an epoch log"):
        rebuild(store)
    assert contents(store) == before


@pytest.mark.parametrize(
    ("text", "fault"),
    [("{", "is not JSON"), ("[]", "holds list"), ("{}", "it has no created, key, name, question")],
)
def test_a_study_sheet_that_cannot_be_read_is_named(text: str, fault: str, store: Path) -> None:
    (store / "studies").mkdir()
    (store / "studies" / "odd.json").write_text(text)
    with pytest.raises(ValueError, match=rf"odd\.json.* {fault}.*: move it away"):
        rebuild(store)


def test_a_missing_store_cannot_be_rebuilt(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no store at"):
        rebuild(tmp_path / "nowhere")


def test_a_broken_database_costs_a_line_and_not_the_study(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1), missing=[("bp", 0)])
    (store / "mlflow.db").write_text("no database")
    writer = start(store, key_of(study, "bp", 0))
    with open_quietly(store, sheet_of(store, study.key)) as record:
        for number in range(3):
            writer.epoch(epoch(number))
            record.update(writer.run, "bp", 0)
    assert writer.run.last_epoch == 2
    lines = [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert "is not an MLflow database: delete it and type nowt rebuild" in lines[0]


def test_a_database_that_comes_back_gets_what_it_missed(store: Path, empty: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1), missing=[("bp", 0)])
    writer = start(store, key_of(study, "bp", 0))
    with open_quietly(store, sheet_of(store, study.key)) as record:
        (store / "mlflow.db").write_text("no database")
        writer.epoch(epoch(0))
        record.update(writer.run, "bp", 0)
        shutil.copy(empty, store / "mlflow.db")
    page = next(page for page in contents(store)[study.key]["runs"] if "cell" in page["tags"])
    assert ("val_error", 0, writer.run.times[0], 0.4) in page["points"]


def test_a_study_of_ours_that_fails_still_fails(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1))
    with pytest.raises(KeyError, match="ours"), open_quietly(store, sheet_of(store, study.key)):
        raise KeyError("ours")


def test_the_page_needs_a_record(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowt rebuild restores it from the logs"):
        ui_command(tmp_path, 5000)


def test_the_page_is_served_on_this_machine_beside_a_taken_port(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    Record.open(store, sheet_of(store, study.key))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        command = ui_command(store, taken)
    port = int(command[command.index("--port") + 1])
    assert port != taken
    assert f"port {taken} is taken, so in a few seconds MLflow is at http://127.0.0.1:{port}/#/experiments/1/runs" in (
        capsys.readouterr().out
    )
    assert command[command.index("--host") + 1] == "127.0.0.1"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
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
