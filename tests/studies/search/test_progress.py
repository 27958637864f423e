"""The lines that a search prints while it runs."""

import time
from pathlib import Path

import pytest

from nowt.execution.scheduler import PlannedRun
from nowt.store.run_log import read
from nowt.studies.search.progress import SearchProgress
from tests.support.run_logs import epoch, start
from tests.support.synthetic_search import search_space


@pytest.mark.parametrize(("epochs", "ending"), [(0, "0 epochs (run "), (2, "2 epochs: val error 40.00 % (run ")])
def test_a_trial_that_diverged_in_its_first_epoch_shows_no_error(tmp_path: Path, epochs: int, ending: str) -> None:
    space, lines = search_space(["fa"]), list[str]()
    progress = SearchProgress(space, lines.append, lambda: 0.0, lambda: 0)
    progress.begin()
    log = start(tmp_path, "a" * 12)
    for number in range(epochs + 1):
        log.epoch(epoch(number))
    log.end("diverged", "the loss was not finite")
    progress.update(PlannedRun("a" * 12, "fa", 0, space.cells[0].config, {}), read(log.path))
    assert f"fa diverged after {ending}" in lines[0]


def test_trials_whose_runs_were_finished_before_are_not_counted_as_time_spent(tmp_path: Path) -> None:
    """As in a copy of a store, which has logs but not Optuna's storage."""
    space, lines = search_space(["fa"]), list[str]()
    spent = [0.0]
    progress = SearchProgress(space, lines.append, lambda: spent[0], lambda: 0)
    old = start(tmp_path, "a" * 12)
    old.epoch(epoch(1))
    old.end("finished")
    time.sleep(0.01)
    progress.begin()
    new = start(tmp_path, "b" * 12)
    for log in (old, new):
        spent[0] += 0.25
        if log is new:
            time.sleep(0.01)
            new.epoch(epoch(1))
            new.end("finished")
        key = log.path.stem
        progress.update(PlannedRun(key, "fa", 0, space.cells[0].config, {}), read(log.path))
    assert lines[0].endswith("fa finished after 1 epoch: val error 40.00 %, not trained again (run aaaaaaaaaaaa)")
    assert "not trained again" not in lines[1] and lines[1].endswith("left")
    assert progress.before == 0.25
