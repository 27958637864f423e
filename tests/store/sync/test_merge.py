"""Merging stores: which runs are copied, which are kept, and what is refused."""

import json
import shutil
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from nowt.cli.databases import databases
from nowt.cli.main import main
from nowt.store.run_log import LogWriter, read
from nowt.store.sync.merge import merge
from nowt.tracking.recorder import Recorder
from tests.support.mlflow_contents import contents, epoch, start, study_file_of
from tests.support.optuna_storage import trial_contents
from tests.support.synthetic_store import key_of, rules_study, write_store

KEY = "0123456789ab"

LR = {"lr": FloatDistribution(0.0, 1.0)}


def quietly(_: str) -> None:
    pass


def files(store: Path) -> dict[str, bytes]:
    """The files that a merge copies, without MLflow and locks."""
    parts = [path for part in ("logs", "studies", "checkpoints", "certificates") for path in (store / part).rglob("*")]
    return {str(p.relative_to(store)): p.read_bytes() for p in parts if p.is_file() and p.suffix != ".lock"}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return tmp_path / "other"


def test_missing_runs_are_copied_and_shown_in_mlflow(
    store: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = write_store(store, rules_study(names=["bp", "fa"], seeds=1, epochs=3), missing=[("fa", 0)])
    write_store(other, rules_study("elsewhere", names=["kp"], seeds=1, epochs=2))
    write_store(other, rules_study(names=["bp", "fa"], seeds=1, epochs=3), missing=[("bp", 0)])
    Recorder.open(store, study_file_of(store, here.key))
    assert main(["merge", str(other), "--store", str(store)]) == 0
    assert "2 new runs" in capsys.readouterr().out
    assert {path.name for path in (store / "logs").iterdir()} == {
        f"{key}.jsonl" for key in (key_of(here, "bp", 0), key_of(here, "fa", 0), _other_key(other))
    }
    shown = contents(store)
    assert [page["tags"]["progress"] for page in shown[here.key]["runs"] if "progress" in page["tags"]] == [
        "2 finished"
    ]
    assert len(shown) == 3  # both studies, and MLflow's own


def _other_key(other: Path) -> str:
    (study_file,) = (path for path in (other / "studies").glob("elsewhere-*.json"))
    key: str = json.loads(study_file.read_text())["runs"][0]["key"]
    return key


def test_merging_again_or_in_the_other_direction_changes_nothing(store: Path, other: Path) -> None:
    write_store(store, rules_study(names=["bp"], seeds=2, epochs=3))
    write_store(other, rules_study(names=["bp", "kp"], seeds=1, epochs=3))
    merge(other, store, quietly, databases())
    once, shown = files(store), contents(store)
    merge(other, store, quietly, databases())
    assert files(store) == once and contents(store) == shown


def test_the_longer_log_wins_without_its_incomplete_line(store: Path, other: Path) -> None:
    writer = start(store, KEY)
    writer.epoch(epoch(0))
    del writer
    shutil.copytree(store / "logs", other / "logs")
    writer = LogWriter.open(other, KEY)
    writer.epoch(epoch(1))
    whole = (other / "logs" / f"{KEY}.jsonl").read_bytes()
    with (other / "logs" / f"{KEY}.jsonl").open("ab") as file:
        file.write(b'{"kind": "epo')
    merge(other, store, quietly, databases())
    assert (store / "logs" / f"{KEY}.jsonl").read_bytes() == whole
    shorter = LogWriter.open(store, KEY)
    shorter.epoch(epoch(2))
    shorter.end("finished")
    del shorter
    merge(other, store, quietly, databases())
    assert read(store / "logs" / f"{KEY}.jsonl").state == "finished"


def test_the_same_run_on_two_machines_of_different_speed_is_one_run(store: Path, other: Path) -> None:
    for folder, seconds in ((store, 2.0), (other, 3.0)):
        writer = start(folder, KEY)
        made = epoch(0)
        writer.epoch(type(made)(**{**vars(made), "seconds": seconds}))
        if folder == other:
            writer.epoch(epoch(1))
    del writer
    merge(other, store, quietly, databases())
    run = read(store / "logs" / f"{KEY}.jsonl")
    assert [e.seconds for e in run.epochs] == [3.0, 2.0]  # the other's, whole
    page = next(page for page in contents(store)["single runs"]["runs"])
    assert {value for name, _, _, value in page["points"] if name == "seconds"} == {3.0, 2.0}


def test_contradicting_logs_are_refused_with_run_key_and_epoch(
    store: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, error in ((store, 0.2), (other, 0.3)):
        writer = start(folder, KEY)
        writer.epoch(epoch(0))
        writer.epoch(epoch(1, test_error=error))
    start(other, "ffffffffffff").epoch(epoch(0))
    del writer
    before = files(store)
    assert main(["merge", str(other), "--store", str(store)]) == 2
    said = capsys.readouterr().err
    assert f"run {KEY}: epoch 1 differs between {other} and {store} (field test_error). Nothing was merged." in said
    assert files(store) == before


def test_a_run_in_progress_is_not_overwritten(store: Path, other: Path) -> None:
    writer = start(store, KEY)
    shutil.copytree(store / "logs", other / "logs")
    longer = LogWriter.open(other, KEY)
    longer.epoch(epoch(0))
    with pytest.raises(ValueError, match=f"run {KEY} is in progress"):
        merge(other, store, quietly, databases())
    del writer


def test_checkpoints_of_runs_without_a_result_are_copied(store: Path, other: Path) -> None:
    for key, state in ((KEY, ""), ("ffffffffffff", "finished")):
        writer = start(other, key)
        writer.epoch(epoch(0))
        if state:
            writer.end(state)
        for step in (5, 10):
            path = other / "checkpoints" / key / f"step-{step:09d}.pt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{key} {step}")
    del writer
    merge(other, store, quietly, databases())
    came = {path.relative_to(store / "checkpoints").as_posix() for path in (store / "checkpoints").rglob("*.pt")}
    assert came == {f"{KEY}/step-000000005.pt", f"{KEY}/step-000000010.pt"}


def test_a_merged_study_lists_the_runs_of_both_stores(store: Path, other: Path) -> None:
    for folder, seeds, run in ((store, (0, 1), "b" * 12), (other, (1, 2), "c" * 12)):
        study = rules_study(names=["bp"])
        write_store(folder, type(study)(study.name, study.question, study.cells, seeds), created=9 - seeds[0])
        later = [{"key": key, "cell": "bp", "seed": 0} for key in ("a" * 12, run)]
        lines = "".join(json.dumps(run) + "\n" for run in later)
        (folder / "studies" / f"{study.key}.runs.jsonl").write_text(lines)
    merge(other, store, quietly, databases())
    content = json.loads((store / "studies" / f"{study.key}.json").read_text())
    assert content["seeds"] == [0, 1, 2] and content["created"] == 8
    assert [run["seed"] for run in content["runs"]] == [0, 1, 2]
    found = (store / "studies" / f"{study.key}.runs.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in found] == ["a" * 12, "b" * 12, "c" * 12]


def search(store: Path, *values: float, last: str = "complete", reported: int = 2) -> optuna.Study:
    """A search with these trials; the last has state ``last`` and ``reported`` errors."""
    store.mkdir(exist_ok=True)
    storage = optuna.storages.RDBStorage(f"sqlite:///{store}/optuna.db")
    study = optuna.create_study(storage=storage, study_name="space-1/bp", load_if_exists=True)
    for number, value in enumerate(values):
        ended = number < len(values) - 1 or last == "complete"
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if ended else TrialState.RUNNING,
                value=value if ended else None,
                params={"lr": value},
                distributions=LR,
                intermediate_values={epoch: value for epoch in range(2 if ended else reported)},
                user_attrs={"draw": number},
            )
        )
    storage.engine.dispose()
    return study


def url(store: Path) -> str:
    return f"sqlite:///{store}/optuna.db"


@pytest.mark.parametrize("here", [(), (0.1,), (0.1, 0.2)])
def test_trials_are_copied_in_order_and_running_ones_continue(
    here: tuple[float, ...], store: Path, other: Path
) -> None:
    search(other, 0.1, 0.2, 0.3)
    if here:
        search(store, *here, last="running", reported=1)
    write_store(other, rules_study(names=["bp"], seeds=1, epochs=1))
    merge(other, store, quietly, databases())
    assert trial_contents(url(store)) == trial_contents(url(other))
    merge(other, store, quietly, databases())
    assert trial_contents(url(store)) == trial_contents(url(other))


def test_a_trial_with_more_reports_is_kept(store: Path, other: Path) -> None:
    search(store, 0.1, 0.2)
    search(other, 0.1, 0.2, last="running", reported=1)
    before = trial_contents(url(store))
    merge(other, store, quietly, databases())
    assert trial_contents(url(store)) == before


def test_searches_with_different_trials_are_refused_in_one_line(
    store: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search(store, 0.1, 0.2)
    search(other, 0.1, 0.3, 0.4)
    write_store(other, rules_study(names=["bp"], seeds=1, epochs=1))
    before, decided = files(store), trial_contents(url(store))
    assert main(["merge", str(other), "--store", str(store)]) == 2
    said = capsys.readouterr().err
    assert "trial 1 of space-1/bp differs between the two stores' optuna.db. Nothing was merged" in said
    assert len(said.splitlines()) == 1
    assert (files(store), trial_contents(url(store))) == (before, decided)


def test_a_missing_store_and_the_store_itself_are_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merge", "nowhere", "--store", str(store)]) == 2
    assert "there is no store at nowhere" in capsys.readouterr().err
    start(store, KEY)
    assert main(["merge", str(store), "--store", str(store)]) == 2
    assert "is the store itself" in capsys.readouterr().err
