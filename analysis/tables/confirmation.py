"""Tables of a search's best settings when trained again: with new seeds, and on the test images."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.frames.store.logs import read_logs
from analysis.frames.studies import StudyPlan, read_plan
from analysis.frames.study import counted_runs, read_frames
from analysis.frames.trials import Trials
from analysis.stats.chance import Chance
from analysis.stats.seeds import scored_split
from analysis.tables.final import final_table, to_markdown
from analysis.text.study import SPLITS
from nowt.store.layout import Store

STUDIES = {
    "confirmed": "The best settings with new seeds",
    "picks": "The selected setting of each cell, on the test images",
}


def confirmation_tables(store: Path, trials: Trials) -> str:
    """Return a table for each study that ``nowt search --confirm`` created from these trials; empty if none."""
    named = [list(_plans(store, f"{trials.plan.name}_{kind}")) for kind in STUDIES]
    if not any(named):
        return ""
    settings = _settings(store, trials)
    found = (_newest(plans, settings) for plans in named)
    return "".join(
        f"{heading} (`nowt report {plan.name}`):\n\n{table}\n"
        for heading, plan in zip(STUDIES.values(), found, strict=True)
        if plan is not None and (table := _table(store, plan))
    )


def _settings(store: Path, trials: Trials) -> set[str]:
    """Return the setting of every counted trial."""
    runs = list(trials.counted["run"])
    logs = read_logs(store, runs)
    return {_setting(logs.get(run).facts["config"]) for run in runs}


def _setting(config: Mapping[str, Any]) -> str:
    """Return a config as text, ignoring its seed and whether the test images are used."""
    return json.dumps({**config, "seed": 0, "test": False}, sort_keys=True)


def _newest(plans: list[StudyPlan], settings: set[str]) -> StudyPlan | None:
    """Return the newest study whose cells all have these settings; another search may have the same name."""
    ours = (plan for plan in plans if settings.issuperset(map(_setting, plan.cells.values())))
    return max(ours, key=lambda plan: plan.created, default=None)


def _plans(store: Path, name: str) -> Iterator[StudyPlan]:
    for path in Store(store).studies.glob(f"{name}-????????.json"):
        if isinstance(plan := read_plan(path), StudyPlan):
            yield plan


def _table(store: Path, plan: StudyPlan) -> str:
    frames = read_frames(store, plan)
    if counted_runs(frames.runs).empty:
        return ""
    return to_markdown(final_table(frames), plan.reference, SPLITS[scored_split(frames)], Chance.of(frames))
