"""Searches as a user runs them: budgets, states of trials, early stopping and interruptions."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from optuna.trial import FrozenTrial, TrialState

from analysis.frames.searches import SearchPlan
from analysis.frames.studies import find_study
from analysis.frames.trials import read_trials
from nowt.cli.main import main
from nowt.cluster.ray_internals import TUNE_SETTINGS
from nowt.execution.ray_lifecycle import connected_ray
from nowt.store.run_log import read, read_all
from nowt.store.study_file import read_study_files
from nowt.studies.search.best_trials import best_trials, find_search
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.trial_storage import Trial, TrialStorage
from tests.support import optuna_storage
from tests.support.optuna_storage import epochs_logged
from tests.support.small_spaces import write_space
from tests.support.small_studies import BROKEN, SLOW, start, store_with_database, wait_for
from tests.support.synthetic_images import image_folder

HALVING = "stopping=EarlyStopping('halving', first_rung=1, factor=2), reference='kp'"


def trials(store: Path) -> dict[str, list[FrozenTrial]]:
    """The trials in the store's Optuna database, by cell."""
    return optuna_storage.trials_by_cell(f"sqlite:///{store}/optuna.db")


def contents(store: Path) -> list[tuple[Any, ...]]:
    """All that the store's Optuna database has about the trials, without times."""
    return optuna_storage.trial_contents(f"sqlite:///{store}/optuna.db")


def search(space: Path, store: Path, *words: str) -> int:
    return main(["search", str(space), "--store", str(store), "--in-process", *words])


def frame_of(store: Path, search: str | None) -> pd.DataFrame:
    """The trials as the report has them."""
    plan = find_study(store, search)
    assert isinstance(plan, SearchPlan)
    return read_trials(store, plan).frame


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_trials_whose_split_follows_the_seed_use_that_of_the_run_seed(tmp_path: Path, store: Path) -> None:
    space = write_space(tmp_path, "(part('bp'),)", "Budget(1)", "run_seed=3")
    assert search(space, store, "--data.split", "by_seed") == 0
    [run] = read_all(store)
    assert (run.state, run.start["config"]["seed"]) == ("finished", 3)


def test_a_search_spends_its_budget_and_its_states_agree_with_the_logs(tmp_path: Path, store: Path) -> None:
    assert search(write_space(tmp_path, "(part('kp'),)", how=HALVING), store) == 0
    found = trials(store)["kp"]
    assert len(found) == 6 and {t.state for t in found} == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in found:
        log = read(store / "logs" / f"{trial.user_attrs['key']}.jsonl")
        assert trial.intermediate_values == {e.epoch: e.val_error for e in log.epochs if e.epoch > 0}
        if trial.state == TrialState.COMPLETE:
            assert log.state == "finished" and list(trial.intermediate_values) == [1, 2, 3, 4]
            assert trial.value == log.epochs[-1].val_error
        else:
            assert log.state == "stopped" and log.last_epoch < 4
            assert f"stopped at the rung of epoch {log.last_epoch}" in trial.user_attrs["reason"]


def test_a_larger_budget_continues_the_search_and_the_same_one_does_nothing(tmp_path: Path, store: Path) -> None:
    space = write_space(tmp_path, "(part('kp'),)", "Budget(2)", HALVING)
    assert search(space, store) == 0
    first = contents(store)
    assert search(space, store) == 0 and contents(store) == first
    assert search(space, store, "--trials", "3") == 0
    assert contents(store)[:2] == first and len(contents(store)) == 3


def test_cells_try_the_same_values_of_a_shared_parameter(tmp_path: Path, store: Path) -> None:
    cells = "(part('bp'), part('fa', Range('rule.scale', 0.5, 2.0), Range('optim.lr', 0.001, 1.0, log=True)))"
    how = "sampler='quasi_random', stopping=EarlyStopping('none')"
    assert search(write_space(tmp_path, cells, "Budget(4)", how), store) == 0
    found = trials(store)
    rates = {cell: [t.params["optim.lr"] for t in found[cell]] for cell in found}
    assert rates["bp"] == rates["fa"] and len(set(rates["bp"])) == 4
    assert {t.state for cell in found.values() for t in cell} == {TrialState.COMPLETE}


def test_a_grid_tries_every_combination_once(tmp_path: Path, store: Path) -> None:
    cells = "(part('kp', Choice('optim.lr', (0.01, 0.1)), Choice('optim.nesterov', (True, False))),)"
    how = "sampler='grid', stopping=EarlyStopping('none')"
    assert search(write_space(tmp_path, cells, "Budget(4)", how), store) == 0
    found = [tuple(t.params.values()) for t in trials(store)["kp"]]
    assert sorted(found) == [(0.01, False), (0.01, True), (0.1, False), (0.1, True)]


def test_no_trial_starts_once_a_budget_in_presentations_is_spent(tmp_path: Path, store: Path) -> None:
    # 4 epochs of 4 batches of 32 images per trial
    space = write_space(tmp_path, "(part('bp'),)", "Budget(1200, 'presentations')", "stopping=EarlyStopping('none')")
    assert search(space, store) == 0
    assert len(trials(store)["bp"]) == 3


def test_a_diverged_trial_is_pruned_at_chance(tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = "(part('sham', Range('optim.lr', 1e37, 1e38), Range('optim.warmup', 0.0, 1e-9)),)"
    assert search(write_space(tmp_path, cells, "Budget(1)"), store) == 0
    assert "\nsham: 1 diverged\n" in capsys.readouterr().out
    (trial,) = trials(store)["sham"]
    assert trial.state == TrialState.PRUNED and trial.user_attrs["reason"] == "diverged"
    assert trial.value == pytest.approx(0.9)


def test_a_failed_trial_has_its_reason_and_is_tried_again_at_the_next_start(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    cells = "(part(Path(__file__).with_name('broken.py')), part('bp'))"
    space = write_space(tmp_path, cells, "Budget(2)", "sampler='random', stopping=EarlyStopping('none')")
    assert search(space, store) == 1
    found = trials(store)
    assert [t.state for t in found["bp"]] == [TrialState.COMPLETE] * 2
    assert [t.state for t in found["broken"]] == [TrialState.FAIL] * 2
    assert all("no such layer [/dense]" in t.user_attrs["reason"] for t in found["broken"])
    assert search(space, store) == 1
    again = trials(store)["broken"]
    assert [t.user_attrs["draw"] for t in again] == [0, 1, 0, 1]
    assert [t.params for t in again[2:]] == [t.params for t in again[:2]] and again[0].params != again[1].params


def write_fixable_rule(folder: Path) -> Path:
    """Write the rule ``broken.py``, which fails as long as the returned file exists."""
    there = 'step == 5 and __import__("os").path.exists(__file__ + ".no")'
    (folder / "broken.py").write_text(BROKEN.replace("step == 5", there))
    broken_marker = folder / "broken.py.no"
    broken_marker.touch()
    return broken_marker


def test_a_search_completes_once_the_cause_of_failed_trials_is_fixed(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken_marker = write_fixable_rule(tmp_path)
    cells = "(part(Path(__file__).with_name('broken.py')),)"
    space = write_space(tmp_path, cells, "Budget(2)", "sampler='random', stopping=EarlyStopping('none')")
    assert search(space, store) == 1
    assert "broken: 2 fail" in capsys.readouterr().out
    broken_marker.unlink()
    assert search(space, store, "--confirm", "1", "--confirm-seeds", "1") == 0
    out = capsys.readouterr().out
    assert "broken: 2 finished; " in out and "picks, by the lowest val error in the search" in out


def test_report_and_confirmation_count_a_retried_trial_once(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken_marker = write_fixable_rule(tmp_path)
    cells = "(part(Path(__file__).with_name('broken.py'), Choice('optim.lr', (0.01, 0.1))),)"
    space = write_space(tmp_path, cells, "Budget(2)", "sampler='grid', stopping=EarlyStopping('none')")
    assert search(space, store) == 1
    assert list(frame_of(store, None)["state"]) == ["failed"] * 2
    broken_marker.unlink()
    assert search(space, store) == 0
    frame = frame_of(store, None)
    assert list(frame["trial"]) == [2, 3] and list(frame["state"]) == ["finished"] * 2
    assert {one.trial for one in best_trials(store, find_search(store, "small"), 99)} == {2, 3}


def test_diverged_trials_spend_the_budget(tmp_path: Path, store: Path) -> None:
    cells = "(part('sham', Range('optim.lr', 1e37, 1e38), Range('optim.warmup', 0.0, 1e-9)),)"
    assert search(write_space(tmp_path, cells, "Budget(300, 'presentations')"), store) == 0
    found = trials(store)["sham"]
    assert [(t.state, t.user_attrs["presentations"]) for t in found] == [(TrialState.PRUNED, 128.0)] * 3
    assert all(t.user_attrs["flops"] > 0 and t.user_attrs["seconds"] > 0 for t in found)
    costs = ["presentations", "flops", "seconds"]
    reported = frame_of(store, None)[costs].to_dict("records")
    assert reported == [{name: t.user_attrs[name] for name in costs} for t in found]


def test_a_search_with_other_images_or_another_store_is_an_error(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = image_folder(tmp_path / "first"), image_folder(tmp_path / "second", train=24)
    data = "data=DataConfig('folder', size=8), epochs=1, batch=16, test=False"
    cells = f"(SearchCell('bp', replace(folder_resnet18(), {data}), (Range('optim.lr', 0.001, 1.0, log=True),)),)"
    space = write_space(tmp_path, cells, "Budget(1)", "stopping=EarlyStopping('none')")
    head = "from nowt import DataConfig\nfrom nowt.config.recipes import folder_resnet18\n"
    space.write_text(head + space.read_text())
    words = ["--storage", f"sqlite:///{tmp_path}/optuna.db", "--data-dir"]
    assert search(space, store, *words, str(first)) == 0
    assert search(space, store, *words, str(second)) == 2
    assert "search small was started on other images" in capsys.readouterr().err
    assert search(space, tmp_path / "another", *words, str(first)) == 2
    assert "is not in store" in capsys.readouterr().err
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as database, database:  # as an earlier version stored it
        database.execute("UPDATE study_user_attributes SET key = 'pictures' WHERE key = 'images'")
    assert search(space, store, *words, str(first)) == 0
    assert search(space, store, *words, str(second)) == 2
    assert "An earlier version of nowt started it, which did not" in capsys.readouterr().err


def test_a_stopped_trial_stays_stopped_if_another_search_resumes_its_run(tmp_path: Path, store: Path) -> None:
    space = write_space(tmp_path, "(part('kp'),)", how=HALVING)
    assert search(space, store) == 0
    before = best_trials(store, find_search(store, "small"), 99)
    frames = [frame_of(store, None)]
    (key,) = [study_file.key for study_file in read_study_files(store)]
    assert search(space, store, "--stopping", "none") == 0
    assert all(read(path).state == "finished" for path in (store / "logs").glob("*.jsonl"))
    assert best_trials(store, find_search(store, key), 99) == before
    frames.append(frame_of(store, key))
    pd.testing.assert_frame_equal(*frames)
    assert main(["report", key, "--store", str(store), "--out", str(tmp_path / "figures")]) == 0
    assert main(["report", "--check", str(tmp_path / "figures"), "--store", str(store)]) == 0


def test_a_killed_search_resumes_with_exactly_the_same_trials(tmp_path: Path, empty: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    cells = "(part(Path(__file__).with_name('slow.py')),)"
    space = write_space(tmp_path, cells, "Budget(5)", "sampler='tpe', stopping=EarlyStopping(first_rung=1)")
    undisturbed, killed = tmp_path / "undisturbed", store_with_database(tmp_path / "killed", empty)
    assert search(space, undisturbed) == 0
    driver = start(["search", str(space), "--in-process", "--store", str(killed)], tmp_path)
    wait_for(lambda: epochs_logged(killed) >= 6, 120, "6 epochs")  # in the second trial
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    assert any(t.state == TrialState.RUNNING for found in trials(killed).values() for t in found)
    assert search(space, killed) == 0
    assert contents(killed) == contents(undisturbed)


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A local Ray that several searches use. One that a search starts itself is in ``tests/faults``."""
    with connected_ray(2, TUNE_SETTINGS):
        yield


@pytest.mark.usefixtures("local_ray")
def test_more_gpus_than_the_machine_has_are_refused_instead_of_waited_for(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = write_space(tmp_path, "(part('bp'),)", "Budget(1)")
    words = ["search", str(space), "--store", str(store), "--slots", "1", "--gpus-per-worker", "64"]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert "a run needs 64 GPUs, and this machine has" in err and err.count("\n") == 1


@pytest.mark.usefixtures("local_ray")
def test_a_search_on_ray_keeps_its_budget_and_states(tmp_path: Path, store: Path) -> None:
    space = write_space(tmp_path, "(part('kp'), part('bp'))", "Budget(4)", HALVING)
    assert main(["search", str(space), "--store", str(store), "--slots", "2"]) == 0
    for found in trials(store).values():
        assert len(found) == 4 and all(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in found)
        assert all((4 in t.intermediate_values) == (t.state == TrialState.COMPLETE) for t in found)
    assert not list((store / ".tune").glob("*/*"))


NET = """
import torch

def build(shape, classes):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, classes))
"""


def test_a_model_that_is_edited_during_a_search_ends_it(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the search would compare trials of two models."""
    (tmp_path / "net.py").write_text(NET)
    cells = "(part('bp', Choice('optim.lr', (0.1, 0.2)), model=RESIDUAL),)"
    space = write_space(tmp_path, cells, "Budget(2)", "sampler='grid'")
    ask = TrialStorage.ask

    def edited(trials: TrialStorage, cell: SearchCell) -> Trial:
        if trials.trials:
            (tmp_path / "net.py").write_text(NET.replace("Flatten(),", "Flatten(), torch.nn.Identity(),"))
        return ask(trials, cell)

    monkeypatch.setattr(TrialStorage, "ask", edited)
    assert search(space, store, "--model.name", f"{tmp_path}/net.py:build") == 2
    error = capsys.readouterr().err
    assert "bp, trial 1: search small: a file of its models has changed since this command began; run the" in error
    assert len(list(read_all(store))) == 1
