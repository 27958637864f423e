"""MLflow has every run and metric of the logs at every moment, and no undefined number."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nowt.store.run_log import read
from nowt.tracking.projection import metrics_of
from nowt.tracking.recorder import Recorder
from tests.support.mlflow_contents import (
    client_of,
    contents,
    epoch,
    run_names,
    shown_afresh,
    start,
    study_file_of,
    train_again,
)
from tests.support.synthetic_store import key_of, rules_study, write_store


def test_a_study_is_an_experiment_with_a_parent_run_and_its_children(store: Path) -> None:
    stand = {"diverged": {("kp", 0): 2}, "stopped": {("wm", 0): 1}, "missing": [("fa", 0)]}
    study = write_store(store, rules_study(seeds=1, epochs=3), **stand)  # type: ignore[arg-type]
    Recorder.open(store, study_file_of(store, study.key))
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


def test_metrics_have_the_epoch_and_the_time_of_the_log(store: Path) -> None:
    study = write_store(store, rules_study(names=["kp"], seeds=1, epochs=40))
    Recorder.open(store, study_file_of(store, study.key))
    run = read(store / "logs" / f"{key_of(study, 'kp', 0)}.jsonl")
    page = next(page for page in contents(store)[study.key]["runs"] if page["tags"].get("cell") == "kp")
    expected = {
        (name, e.epoch, time_ms, value)
        for e, time_ms in zip(run.epochs, run.times, strict=True)
        for name, value in metrics_of(e).items()
    }
    assert page["points"] == expected
    assert page["start"] == run.start["time"]
    assert page["end"] == run.times[-1]


def test_an_ended_run_is_recorded_from_its_log_since_the_scheduler_keeps_no_layers(store: Path) -> None:
    study = write_store(store, rules_study(names=["kp"], seeds=1, epochs=2))
    recorder, key = Recorder.open(store, study_file_of(store, study.key)), key_of(study, "kp", 0)
    expected = contents(store)
    (store / "mlflow.db").unlink()
    recorder = Recorder.open(store, replace(study_file_of(store, study.key), runs=[]))  # knows of no run
    run = read(store / "logs" / f"{key}.jsonl")
    recorder.update(replace(run, epochs=tuple(replace(epoch, layers=()) for epoch in run.epochs)), "kp", 0)
    points = [page["points"] for page in contents(store)[study.key]["runs"] if page["tags"].get("cell") == "kp"]
    assert points == [page["points"] for page in expected[study.key]["runs"] if page["tags"].get("cell") == "kp"]


def test_the_database_has_no_undefined_metric(store: Path) -> None:
    study = write_store(store, rules_study(seeds=1, epochs=2), test=False)
    Recorder.open(store, study_file_of(store, study.key))
    with sqlite3.connect(store / "mlflow.db") as database:
        flagged = database.execute("SELECT count(*) FROM metrics WHERE is_nan").fetchone()[0]
        names = {row[0] for row in database.execute("SELECT DISTINCT key FROM metrics")}
    database.close()
    assert flagged == 0
    assert "val_error" in names and "test_error" not in names


def test_sending_twice_changes_nothing(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp", "kp"], seeds=1, epochs=3))
    study_file = study_file_of(store, study.key)
    record = Recorder.open(store, study_file)
    before = contents(store)
    for run in study_file.runs:
        record.update(read(store / "logs" / f"{run.key}.jsonl"), run.cell, run.seed)
    Recorder.open(store, study_file)
    assert contents(store) == before


def test_a_run_in_progress_is_shown_as_its_log_at_every_moment(store: Path, empty: Path, tmp_path: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1), missing=[("bp", 0)])
    record = Recorder.open(store, study_file_of(store, study.key))
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


def test_missed_updates_are_recorded_at_the_next_start(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1), missing=[("bp", 0)])
    study_file = study_file_of(store, study.key)
    writer = start(store, key_of(study, "bp", 0))
    writer.epoch(epoch(0))
    Recorder.open(store, study_file).update(writer.run, "bp", 0)
    writer.epoch(epoch(1))
    writer.epoch(epoch(2))
    writer.end("finished")
    Recorder.open(store, study_file)
    page = next(page for page in contents(store)[study.key]["runs"] if "cell" in page["tags"])
    assert {step for _, step, _, _ in page["points"]} == {0, 1, 2}
    assert page["status"] == "FINISHED"


def test_an_mlflow_run_that_a_crash_left_incomplete_is_completed(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    study_file = study_file_of(store, study.key)
    client = client_of(store)
    experiment = client.create_experiment(study.key, (store / "artifacts" / study.key).resolve().as_uri())
    key = key_of(study, "bp", 0)
    client.create_run(experiment, tags={"nowt.key": key}, run_name="bp, seed 0, tiny_resnet")
    Recorder.open(store, study_file)
    pages = [page for page in contents(store)[study.key]["runs"] if page["tags"]["nowt.key"] == key]
    assert len(pages) == 1
    assert pages[0]["params"]["rule.name"] == "bp"
    assert json.loads(pages[0]["files"]["config.json"])["epochs"] == 2
    assert pages[0]["tags"]["state"] == "finished"


def test_an_experiment_deleted_in_mlflow_is_restored_with_its_study(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    study_file = study_file_of(store, study.key)
    record = Recorder.open(store, study_file)
    before = contents(store)
    client_of(store).delete_experiment(record.experiment)
    Recorder.open(store, study_file)
    assert contents(store) == before


def test_more_seeds_reopen_a_finished_study(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    Recorder.open(store, study_file_of(store, study.key))
    write_store(store, rules_study(names=["bp"], seeds=2, epochs=2), missing=[("bp", 1)])
    Recorder.open(store, study_file_of(store, study.key))
    parent = next(page for page in contents(store)[study.key]["runs"] if "reference" in page["tags"])
    assert parent["status"] == "RUNNING"
    assert parent["tags"]["seeds"] == "0, 1"


def test_a_run_without_a_study_is_a_single_run_until_a_study_lists_it(store: Path) -> None:
    study = rules_study(names=["bp"], seeds=1, epochs=2)
    write_store(store, study)
    path = store / "studies" / f"{study.key}.json"
    text = path.read_text()
    path.unlink()
    Recorder.open(store, None)
    (page,) = contents(store)["single runs"]["runs"]
    assert page["name"] == "bp, seed 0, tiny_resnet"
    assert "cell" not in page["tags"] and "mlflow.parentRunId" not in page["tags"]
    path.write_text(text)
    Recorder.open(store, study_file_of(store, study.key))
    assert contents(store)["single runs"]["runs"] == []
    assert len(contents(store)[study.key]["runs"]) == 2


def test_config_and_certificate_of_a_run_are_its_artifacts(store: Path) -> None:
    (store / "certificates").mkdir()
    (store / "certificates" / "certificate-bp.json").write_text('{"rule": "bp"}')
    start(store, "0123456789ab", certificate="certificate-bp.json")
    start(store, "abcdef012345", certificate="certificate-of-another.json")
    Recorder.open(store, None)
    files = {page["tags"]["nowt.key"]: page["files"] for page in contents(store)["single runs"]["runs"]}
    assert files["0123456789ab"].keys() == {"config.json", "certificate.json"}
    assert files["0123456789ab"]["certificate.json"] == '{"rule": "bp"}'
    assert json.loads(files["abcdef012345"]["config.json"])["epochs"] == 3
    assert files["abcdef012345"].keys() == {"config.json"}


def progress_of(store: Path, study: str) -> tuple[str, str]:
    page = next(page for page in contents(store)[study]["runs"] if "progress" in page["tags"])
    return page["tags"]["progress"], page["status"]


def test_a_run_that_was_trained_again_is_marked_and_kept(store: Path, empty: Path, tmp_path: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=2, epochs=2), stopped={("bp", 1): 1})
    Recorder.open(store, study_file_of(store, study.key))
    first, second = (key_of(study, "bp", seed) for seed in range(2))
    before = run_names(client_of(store), study.key)
    assert before[first] == ("bp, seed 0, tiny_resnet", "") and progress_of(store, study.key)[1] == "RUNNING"
    client = client_of(store)
    (run,) = client.search_runs(
        [client.get_experiment_by_name(study.key).experiment_id], f"tags.`nowt.key` = '{second}'"
    )
    client.update_run(run.info.run_id, name="mine")  # a user may rename it
    again = {number: train_again(store, study.key, number) for number in range(2)}
    Recorder.open(store, study_file_of(store, study.key))
    assert run_names(client_of(store), study.key) == {
        first: ("bp, seed 0, tiny_resnet (superseded)", again[0]),
        second: ("mine (superseded)", again[1]),
        again[0]: ("bp, seed 0, tiny_resnet", ""),
        again[1]: ("bp, seed 1, tiny_resnet", ""),
    }
    assert progress_of(store, study.key) == ("2 finished, 2 superseded", "FINISHED")
    shown = contents(store)
    Recorder.open(store, study_file_of(store, study.key))
    assert contents(store) == shown
    client.update_run(run.info.run_id, name="bp, seed 1, tiny_resnet (superseded)")
    (tmp_path / "afresh").mkdir()
    assert contents(store)[study.key] == shown_afresh(store, empty, tmp_path / "afresh")[study.key]


def test_runs_of_a_study_whose_code_was_changed_are_marked_in_its_own_experiment(store: Path) -> None:
    first = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    Recorder.open(store, study_file_of(store, first.key))
    old, other = key_of(first, "bp", 0), "rules-00000000"
    data = json.loads((store / "studies" / f"{first.key}.json").read_text())
    place = store / "studies" / f"{other}.json"
    place.write_text(json.dumps({**data, "key": other, "created": 5, "runs": []}))
    new = train_again(store, other, 0)
    Recorder.open(store, study_file_of(store, other))
    assert run_names(client_of(store), first.key) == {old: ("bp, seed 0, tiny_resnet (superseded)", new)}
    assert run_names(client_of(store), other) == {new: ("bp, seed 0, tiny_resnet", "")}
    (store / "studies" / f"{first.key}.json").write_text(json.dumps({**data, "started": 9}))  # the change was undone
    Recorder.open(store, study_file_of(store, first.key))
    assert run_names(client_of(store), first.key) == {old: ("bp, seed 0, tiny_resnet", "")}
    assert run_names(client_of(store), other) == {new: ("bp, seed 0, tiny_resnet (superseded)", old)}
