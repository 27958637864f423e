"""Crashes of a search between its writes to the study file and to Optuna, and lines that a power cut tore."""

import gc
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

import nowt.studies.search.scheduler
from nowt.store.layout import Store
from nowt.store.listed_runs import ListedRun
from nowt.store.records import epoch_from_json
from nowt.store.run_log import LogWriter
from nowt.store.study_file import read_study_file
from nowt.studies.search.space import Budget
from tests.support.simulated_search import EPOCHS, Killed, SimulatedSearch, epoch_message, random_space


def simulated_search() -> SimulatedSearch:
    """A search of eight trials per cell, some of which are stopped early."""
    return SimulatedSearch(random_space("random", "halving", Budget(8), 5, shared_runs=False), slots=2)


def lines(search: SimulatedSearch) -> Path:
    return Store(search.folder).study_runs(search.space.key)


def listed(search: SimulatedSearch) -> list[ListedRun]:
    return read_study_file(Store(search.folder).study_file(search.space.key)).runs


def restart(search: SimulatedSearch) -> None:
    """Start the search again, in a new process, and finish it."""
    search.scheduler.release()
    search.start()
    search.finish()


def trial_of(search: SimulatedSearch, run: ListedRun) -> FrozenTrial:
    return next(trial for trial in search.trials()[run.cell] if trial.number == run.trial)


def check_listed(search: SimulatedSearch) -> None:
    """Every trial of Optuna is listed once, and the study file knows how it ended."""
    runs = {(run.cell, run.trial): run for run in listed(search)}
    assert len(runs) == len(listed(search)) == sum(map(len, search.trials().values()))
    for run in runs.values():
        trial = trial_of(search, run)
        early = trial.state == TrialState.PRUNED and trial.user_attrs["reason"] != "diverged"
        assert (run.stopped is not None) == early
        assert bool(run.failed) == (trial.state == TrialState.FAIL)
        if early:
            assert (run.stopped, run.reason) == (max(trial.intermediate_values), trial.user_attrs["reason"])


@pytest.mark.parametrize("kept", [0, 0.5, 1])
def test_a_torn_line_of_a_stopped_trial_is_written_again(kept: float) -> None:
    search = simulated_search()
    search.finish()
    whole = lines(search).read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(whole) if b'"stopped"' in line)
    torn = whole[last][: int(kept * (len(whole[last]) - 1))]
    lines(search).write_bytes(b"".join([*whole[:last], *whole[last + 1 :], torn]))
    restart(search)
    check_listed(search)


def test_the_lines_of_a_power_cut_are_written_again() -> None:
    search = simulated_search()
    search.fill()
    search.mark_failed(next(iter(search.next_epoch)))
    search.finish()
    for kept in range(0, len(lines(search).read_bytes()), 400):
        lines(search).write_bytes(lines(search).read_bytes()[:kept])
        restart(search)
        check_listed(search)


def test_a_trial_that_was_stopped_before_a_crash_stays_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if another search has continued its run since."""
    search, append_stop = simulated_search(), nowt.studies.search.scheduler.append_stop

    def killed_afterwards(*given: object) -> None:
        append_stop(*given)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(nowt.studies.search.scheduler, "append_stop", killed_afterwards)
    with pytest.raises(Killed):
        search.finish()
    monkeypatch.undo()
    stopped = next(run for run in listed(search) if run.stopped is not None)
    assert trial_of(search, stopped).state == TrialState.RUNNING
    search.scheduler.release()
    gc.collect()
    finish_in_another_search(search.folder, stopped.key)
    restart(search)
    trial, uninterrupted = trial_of(search, stopped), simulated_search()
    uninterrupted.finish()
    assert (trial.state, trial.user_attrs["reason"]) == (TrialState.PRUNED, stopped.reason)
    same = trial_of(uninterrupted, stopped)
    assert (trial.intermediate_values, trial.user_attrs) == (same.intermediate_values, same.user_attrs)
    check_listed(search)


def finish_in_another_search(store: Path, key: str) -> None:
    writer = LogWriter.open(store, key)
    writer.resume(writer.run.last_epoch)
    for epoch in range(writer.run.last_epoch + 1, EPOCHS + 1):
        writer.epoch(epoch_from_json(epoch_message(key, epoch)["epoch"]))
    writer.end("finished")
