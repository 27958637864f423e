"""The map of the error over learning rate and weight decay."""

import re
from pathlib import Path

from analysis.figures.landscape import landscape_chart
from analysis.text.search import search_notes
from nowt.studies.search.params import Range
from tests.support.synthetic_frames import text_of, trials_in
from tests.support.synthetic_search import search_space, write_search

RATE = Range("optim.lr", 0.005, 0.5, log=True)


def test_a_map_needs_learning_rate_and_weight_decay(tmp_path: Path) -> None:
    write_search(tmp_path, search_space(["bp"], [RATE]))
    trials = trials_in(tmp_path)
    assert landscape_chart(trials) is None
    assert (
        "No map of the error: no cell with a finished trial varied both optim.lr and optim.weight_decay"
        in search_notes(trials)
    )


def test_the_map_marks_the_best_and_shows_how_trials_ended(tmp_path: Path) -> None:
    states = {("bp", 0): "stopped", ("wm", 1): "diverged"}
    write_search(tmp_path, search_space(stopping="halving"), states=states)
    drawn_map = text_of(landscape_chart(trials_in(tmp_path)))
    for words in ("cross: diverged, chance error", "gray: stopped early", "ring: best trial", "Learning rate η"):
        assert words in drawn_map
    assert len(re.findall(r"(bp|wm), best \d+\.\d\d %", drawn_map)) == 2
