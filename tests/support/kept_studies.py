"""Small trained studies with checkpoints, run in this process without MLflow."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from nowt.config.placement import Placement
from nowt.execution import local
from nowt.execution.run_queue import RunQueue
from nowt.rules.registry import find_rule
from nowt.store.listed_runs import ListedRun
from nowt.store.study_file import write_study_file
from nowt.studies.ablation import planned_runs
from nowt.studies.study import Cell, Study, study_to_json
from nowt.training.retention import with_retention
from tests.support.short_runs import short_run


def kept_study(
    store: Path, *, keep: str | tuple[int, ...] = "all", seeds: tuple[int, ...] = (0, 1), **changes: Any
) -> Study:
    """Train two epochs with bp and fa into ``store``; ``changes`` are those of ``short_run``."""
    cells = tuple(Cell(name, replace(short_run(**changes), rule=find_rule(name)())) for name in ("bp", "fa"))
    study = Study("kept", "Which learns?", cells, seeds, keep=keep)  # type: ignore[arg-type]
    placement = with_retention(Placement(store=str(store), device="cpu"), study.keep, study.epochs)
    plan = planned_runs(study, placement)
    runs = [ListedRun(planned.key, planned.cell, planned.seed) for planned in plan]
    write_study_file(store, study.key, study_to_json(study), runs)
    assert local.run(RunQueue(store, plan), placement)
    return study
