"""What a search says of its trials when it ends."""

from types import SimpleNamespace
from typing import Any

import pytest

from nowt.studies.search.result import SearchResult, search_result
from tests.support.synthetic_search import search_space

SPACE = search_space(["bp", "fa"])


def trial(cell: str, draw: int, state: str, error: float = 0.9, reason: str = "") -> Any:
    """A trial as the storage holds it, with one epoch."""
    kind = next(one for one in SPACE.cells if one.name == cell)
    named = {"cell": kind, "draw": draw, "state": SimpleNamespace(name=state), "reason": reason}
    return SimpleNamespace(**named, errors={1: error}, last_epoch=1, values={"optim.lr": 0.1, "optim.nesterov": True})


def result(images: int, *trials: Any) -> SearchResult:
    facts = {cell.name: {"classes": 10, "validation": images} for cell in SPACE.cells}
    return search_result(SPACE, trials, facts, interrupted=False, capped="")


def test_diverged_and_stopped_trials_are_counted_apart() -> None:
    stopped = "stopped early: error 80 % at epoch 1"
    ended = [
        *(trial("fa", draw, "PRUNED", reason="diverged") for draw in range(3)),
        trial("fa", 3, "PRUNED", reason=stopped),
        trial("fa", 4, "COMPLETE", 0.2),
        trial("fa", 5, "FAIL"),
        trial("fa", 6, "RUNNING"),
    ]
    _, bp, fa = result(1000, *ended).summary().splitlines()
    assert bp == "bp: no trials"
    assert fa.startswith("fa: 3 diverged, 1 stopped early, 1 finished, 1 failed, 1 unfinished; best val error 20.00 %")
    assert fa.endswith("with optim.lr 0.1, optim.nesterov True")


def test_a_trial_that_fails_again_at_a_later_start_counts_once() -> None:
    detected = "transport detected at step 3 under rule own: B of layer fc changes with W"
    ended = [
        *(trial("fa", draw, "FAIL", reason=detected) for draw in (0, 1, 0, 1)),
        trial("fa", 2, "FAIL", reason="out of memory"),
        trial("fa", 2, "FAIL", reason="out of memory"),
        trial("fa", 3, "FAIL", reason="out of memory"),
        trial("fa", 3, "COMPLETE", 0.2),
        trial("fa", 3, "FAIL", reason="in another store that was merged"),
    ]
    line = result(1000, *ended).summary().splitlines()[2]
    assert line.startswith("fa: 2 transport detected, 1 failed, 1 finished; best val error 20.00 %")


@pytest.mark.parametrize(
    ("error", "images", "best"),
    [
        (0.897, 1000, "no trial learned: the best val error, 89.70 %, is at chance"),
        (0.8125, 16, "the best val error, 81.25 % of 16 images, is on too few images to tell from chance"),
    ],
)
def test_a_best_trial_that_did_not_learn_is_not_praised(error: float, images: int, best: str) -> None:
    ended = result(images, trial("bp", 0, "COMPLETE", error + 0.05), trial("bp", 1, "COMPLETE", error))
    assert ended.summary().splitlines()[1] == f"bp: 2 finished; {best}"
