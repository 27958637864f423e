"""What a person finds in MLflow, and that it can be deleted and made again."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nowt.log import LogWriter, read
from nowt.record import Record, open_quietly, rebuild
from nowt.ui import ui_command
from synthetic_store import key_of, rules_study, write_store

WANTED = {
    "runs": "select r.name, r.status, r.start_time, r.end_time, e.name from runs r"
    " join experiments e using (experiment_id)",
    "metrics": "select t.value, m.key, m.value, m.step, m.timestamp from metrics m join tags t using (run_uuid)"
    " where t.key = 'nowt.key'",
    "params": "select t.value, p.key, p.value from params p join tags t using (run_uuid) where t.key = 'nowt.key'",
    "tags": "select r.name, t.key, t.value from tags t join runs r using (run_uuid)"
    " where t.key != 'mlflow.parentRunId'",
}


def contents(store: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that the record says, but for MLflow's own random run ids."""
    connection = sqlite3.connect(store / "mlflow.db")
    try:
        return {name: sorted(connection.execute(query).fetchall(), key=repr) for name, query in WANTED.items()}
    finally:
        connection.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two rules, two seeds, one of them diverged, in MLflow."""
    store = tmp_path_factory.mktemp("store")
    write_store(store, rules_study(names=("bp", "kp"), seeds=2, epochs=3), diverged={("kp", 1): 2})
    assert rebuild(store) == 4
    yield store


def test_runs_are_found_by_name_rule_and_state(recorded: Path) -> None:
    runs = {row[0]: row for row in contents(recorded)["runs"]}
    assert {"bp tiny_resnet seed 0", "kp tiny_resnet seed 1", "study rules"} <= set(runs)
    tags = {row[1:] for row in contents(recorded)["tags"] if row[0] == "kp tiny_resnet seed 1"}
    assert {("rule", "kp"), ("seed", "1"), ("nowt.state", "diverged")} <= tags
    assert runs["kp tiny_resnet seed 1"][1] == "FINISHED"


def test_every_setting_is_a_param_under_its_dotted_name(recorded: Path) -> None:
    key = key_of(rules_study(names=("bp", "kp"), seeds=2, epochs=3), "kp", 0)
    params = {row[1]: row[2] for row in contents(recorded)["params"] if row[0] == key}
    assert params["optim.lr"] == "0.05"
    assert params["rule.name"] == "kp"
    assert params["rule.angle"] == "none"


def test_numbers_have_their_epoch_and_the_logs_own_time(recorded: Path) -> None:
    key = key_of(rules_study(names=("bp", "kp"), seeds=2, epochs=3), "bp", 0)
    log = read(recorded / "logs" / f"{key}.jsonl")
    rows = [row for row in contents(recorded)["metrics"] if row[0] == key and row[1] == "val_error"]
    assert [(row[2], row[3], row[4]) for row in sorted(rows, key=lambda row: row[3])] == [
        (epoch.val_error, epoch.epoch, time) for epoch, time in zip(log.epochs, log.times, strict=True)
    ]


def test_undefined_numbers_are_left_out(recorded: Path) -> None:
    connection = sqlite3.connect(recorded / "mlflow.db")
    assert connection.execute("select count(*) from metrics where is_nan").fetchone() == (0,)
    connection.close()


def test_sending_twice_changes_nothing(recorded: Path) -> None:
    before = contents(recorded)
    study = rules_study(names=("bp", "kp"), seeds=2, epochs=3)
    sheet = {"key": study.key, "name": study.name, "question": study.question, "created": 1}
    record = Record.open(recorded, sheet)
    key = key_of(study, "bp", 0)
    record.sent[key] = -1
    record.update(read(recorded / "logs" / f"{key}.jsonl"), "bp", 0)
    assert contents(recorded) == before


def test_a_deleted_record_is_restored_exactly(recorded: Path) -> None:
    before = contents(recorded)
    (recorded / "mlflow.db").unlink()
    again = [sys.executable, "-m", "nowt", "rebuild", "--store", str(recorded)]
    assert subprocess.run(again, capture_output=True, text=True, check=True).stdout.startswith("4 runs written")
    assert contents(recorded) == before


def test_a_single_run_of_nowt_train_is_recorded_too(tmp_path: Path) -> None:
    study = write_store(tmp_path, rules_study(names=("bp",), seeds=1, epochs=1))
    for sheet in (tmp_path / "studies").iterdir():
        sheet.unlink()
    assert rebuild(tmp_path) == 1
    assert [row[4] for row in contents(tmp_path)["runs"]] == ["single runs"]
    assert study.seeds == (0,)


def test_a_record_that_cannot_be_written_warns_and_the_study_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_store(tmp_path, rules_study(names=("bp",), seeds=1, epochs=1))
    (tmp_path / "mlflow.db").mkdir()
    writer = LogWriter.open(tmp_path / "logs", key_of(rules_study(names=("bp",), seeds=1, epochs=1), "bp", 0))
    with open_quietly(tmp_path, None) as record:
        record.update(writer.run, "bp", 0)
    assert "not recorded in MLflow" in capsys.readouterr().err


def test_the_page_is_served_on_this_machine_alone(recorded: Path) -> None:
    command = ui_command(recorded, 5000)
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_an_empty_store_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no record in"):
        ui_command(tmp_path, 5000)


def test_the_record_needs_no_torch() -> None:
    code = "import sys, nowt.record; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
