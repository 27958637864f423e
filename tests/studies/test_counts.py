"""How many runs a study says have finished."""

from pathlib import Path

from nowt.execution.run_queue import RunQueue
from nowt.execution.scheduler import PlannedRun
from nowt.studies.ablation import _outcome
from nowt.studies.study import Cell, Study
from tests.support.synthetic_store import key_of, rules_study, write_store


def test_a_run_that_two_cells_share_counts_for_both_as_in_the_methods(tmp_path: Path) -> None:
    config = rules_study(names=["bp"], epochs=2).cells[0].config
    study = Study("twins", "?", (Cell("bp", config), Cell("twin", config)), (0, 1))
    write_store(tmp_path, Study("one", "?", study.cells[:1], study.seeds), diverged={("bp", 1): 1})
    plan = tuple(PlannedRun(key_of(study, c.name, seed), c.name, seed, config, {}) for c, seed, config in study.runs())
    ended = _outcome(study, RunQueue(tmp_path, plan), interrupted=False, capped="")
    assert ended.summary() == f"study {study.key}: 2 of 4 runs finished, 2 diverged"
