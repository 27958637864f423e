"""The lines that a search prints while it runs."""

from pathlib import Path

import pytest

from nowt.execution.scheduler import PlannedRun
from nowt.store.run_log import read
from nowt.studies.search.progress import SearchProgress
from tests.support.run_logs import epoch, start
from tests.support.synthetic_search import search_space


@pytest.mark.parametrize(("epochs", "ending"), [(0, "0 epochs (run "), (2, "2 epochs: val error 40.00 % (run ")])
def test_a_trial_that_diverged_in_its_first_epoch_shows_no_error(tmp_path: Path, epochs: int, ending: str) -> None:
    log = start(tmp_path, "a" * 12)
    for number in range(epochs + 1):
        log.epoch(epoch(number))
    log.end("diverged", "the loss was not finite")
    space, lines = search_space(["fa"]), list[str]()
    progress = SearchProgress(space, lines.append, lambda: 0.0, lambda: 0)
    progress.begin()
    progress.update(PlannedRun("a" * 12, "fa", 0, space.cells[0].config, {}), read(log.path))
    assert f"fa diverged after {ending}" in lines[0]
