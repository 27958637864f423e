"""Compares the store of a disturbed study with that of an undisturbed one: log lines, Optuna's trials, and MLflow."""

import json
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from nowt.store.records import RunLog
from nowt.store.run_log import read
from nowt.tracking.database import connect
from nowt.tracking.projection import STATUS, metrics_of
from tests.faults.cleanup_checks import temporary_files
from tests.faults.study_process import EPOCHS, TRIALS, StudyProcess
from tests.support.small_studies import numbers as without_times

ENDS = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED}


def assert_equals_undisturbed(study: StudyProcess, reference: Path) -> None:
    """Assert that the store equals the undisturbed one.

    With several slots, the trials of a search depend on which run ends first; only its budget and states are compared.
    """
    store = study.store
    assert_each_epoch_once(store)
    if study.verb == "search":
        assert_trials_equal_logs(store)
    if study.verb == "ablate" or study.slots == 1:
        assert recorded(store) == recorded(reference)
        assert files(store) == files(reference)
    assert_mlflow_equals_logs(store)
    assert temporary_files(store) == []


def assert_each_epoch_once(store: Path) -> None:
    """Assert that every log is complete and ended, and has each epoch once, in order."""
    for path in (store / "logs").glob("*.jsonl"):
        text = path.read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        epochs = [line["epoch"] for line in lines if line["kind"] == "epoch"]
        assert text.endswith("\n") and epochs == list(range(len(epochs))), path.name
        assert lines[-1]["kind"] == "end" and [line["kind"] for line in lines].count("start") == 1, path.name
        assert lines[-1]["state"] != "finished" or epochs[-1] == EPOCHS, path.name


def logs(store: Path) -> dict[str, RunLog]:
    """Return every epoch log, by run key."""
    return {path.stem: read(path) for path in (store / "logs").glob("*.jsonl")}


def recorded(store: Path) -> dict[str, Any]:
    """Return what logs and Optuna contain, except times and attempts."""
    runs = {key: (run.state, run.reason, without_times(run)) for key, run in logs(store).items()}
    tried = [(t.number, t.state, t.value, t.params, t.intermediate_values, _without_seconds(t)) for t in trials(store)]
    return {"runs": runs, "trials": tried}


def _without_seconds(trial: FrozenTrial) -> dict[str, Any]:
    return {name: value for name, value in trial.user_attrs.items() if name != "seconds"}


def trials(store: Path) -> list[FrozenTrial]:
    """Return the trials that Optuna reads from the store; the search has one cell."""
    url = f"sqlite:///{store}/optuna.db"
    if not (store / "optuna.db").exists():
        return []
    (name,) = optuna.get_all_study_names(url)
    return optuna.load_study(study_name=name, storage=url).trials


def assert_trials_equal_logs(store: Path) -> None:
    """Assert that the budget is spent, and that each trial's state and values are those of its run's log."""
    found, runs = trials(store), logs(store)
    assert len(found) == TRIALS and {t.user_attrs["key"] for t in found} == set(runs)
    for trial in found:
        run = runs[trial.user_attrs["key"]]
        assert trial.state == ENDS[run.state], (trial.number, trial.state, run.state, run.reason)
        assert trial.intermediate_values == {e.epoch: e.val_error for e in run.epochs if e.epoch > 0}
        assert (run.last_epoch == EPOCHS) == (trial.state == TrialState.COMPLETE)


def files(store: Path) -> list[str]:
    """Return the store's files, except MLflow's (named by random ids) and what sqlite keeps beside a database.

    A run that its search stopped also has a checkpoint before its newest one. Its step depends on whether the run was
    interrupted there, so it is listed as "before".
    """
    found = [path.relative_to(store) for path in store.rglob("*") if path.is_file()]
    ours = [path for path in found if path.parts[0] != "artifacts" and not path.name.startswith("optuna.db")]
    newest = {path.parent: path for path in sorted(ours)}
    stopped = {Path("checkpoints", key) for key, run in logs(store).items() if run.state == "stopped"}
    older = [path for path in ours if path.parent in stopped and path != newest[path.parent]]
    return sorted(str(path.parent / "before" if path in older else path) for path in ours)


def assert_mlflow_equals_logs(store: Path) -> None:
    """Assert that MLflow has one run per log and one for the study, with every number once, and the state."""
    client, runs = connect(store / "mlflow.db"), logs(store)
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    pages = client.search_runs([experiment.experiment_id])
    (study_file,) = (json.loads(path.read_text()) for path in (store / "studies").glob("*.json"))
    assert sorted(page.data.tags["nowt.key"] for page in pages) == sorted([*runs, study_file["key"]])
    for page in pages:
        assert page.info.status == STATUS[page.data.tags["state"]]
        if (run := runs.get(page.data.tags["nowt.key"])) is None:
            assert page.data.tags["state"] == "finished"
            continue
        assert (page.data.tags["state"], page.data.tags["attempts"]) == (run.state, str(run.attempts))
        for name in {name for epoch in run.epochs for name in metrics_of(epoch)}:
            history = client.get_metric_history(page.info.run_id, name)
            sent = [(m.step, m.value) for m in sorted(history, key=lambda m: m.step)]
            assert sent == [(e.epoch, metrics_of(e)[name]) for e in run.epochs if name in metrics_of(e)], name
    written = [path.relative_to(store).parts[2] for path in store.glob("artifacts/*/*/artifacts/config.json")]
    assert sorted(written) == sorted(p.info.run_id for p in pages if p.data.tags["nowt.key"] in runs)
