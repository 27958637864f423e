"""An ablation, from a study to its finished logs: plan its runs, run what is missing, keep the record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nowt.config import DataConfig, ModelConfig, Placement, RunConfig
from nowt.errors import require
from nowt.hands.work import How, work
from nowt.keep import gone, placed, shortened
from nowt.keys import run_key
from nowt.ledger import Ledger, Planned
from nowt.lock import held
from nowt.log import RunLog
from nowt.progress import StudyProgress
from nowt.rules.rule import Rule
from nowt.sheet import Sheet, freeze
from nowt.study import Cell, Study, study_to_json


@dataclass(frozen=True)
class Outcome:
    """How an ablation ended."""

    study: Study
    planned: int
    finished: int
    diverged: int
    failed: tuple[str, ...]  # cell, seed and key of each
    interrupted: bool
    capped: str = ""  # the cap that stopped it, in words

    def summary(self) -> str:
        """One line; what to do where runs failed."""
        text = f"study {self.study.key}: {self.finished} of {self.planned} runs finished"
        text += f", {self.diverged} diverged" if self.diverged else ""
        if self.failed:
            text += f", {len(self.failed)} failed: {', '.join(self.failed)}; "
            text += "nowt show RUN says why, the same command tries again"
        if self.capped:
            left = self.planned - self.finished - self.diverged - len(self.failed)
            text += f"; stopped at its cap of {self.capped}, {left} runs left: with a larger cap it goes on"
        return text


def ablate(study: Study, how: How, say: Callable[[str], None]) -> Outcome:
    """Run every cell with every seed; run again, it does only what is missing.

    Raises ConfigError where another process runs this study, DataError where its pictures cannot be used.
    """
    store, how = Path(how.placement.store), replace(how, placement=placed(study, how.placement))
    plan = planned_runs(study, how.placement)
    with held(store, study.key):
        runs = [{"key": planned.key, "cell": planned.cell, "seed": planned.seed} for planned in plan]
        sheet, remark = freeze(store, study.key, study_to_json(study), runs)
        if remark:
            say(remark)
        missed = gone(store, [planned.key for planned in plan], how.placement.keep, how.placement.checkpoints)
        for line in (*remarks(plan), missed):
            if line:
                say(line)
        certificates(store, [cell.config.rule for cell in study.cells], say)
        return _run(study, sheet, plan, how)


def planned_runs(study: Study, placement: Placement) -> tuple[Planned, ...]:
    """Every run of the study under its key; pictures are opened once for each data set the cells use.

    Raises ConfigError and DataError for a cell that could not start.
    """
    from nowt.shares import sizes

    opened: dict[tuple[DataConfig, ModelConfig, bool, int, int], dict[str, Any]] = {}
    plan = []
    for cell, _, config in study.runs():
        sizes(config, placement.workers)
        what = (config.data, config.model, config.test, config.batch, config.probe.samples)
        if what not in opened:
            opened[what] = pictures_of(config, placement)
        plan.append(plan_run(cell.name, config, opened[what]))
    return tuple(plan)


def plan_run(cell: str, config: RunConfig, pictures: dict[str, Any]) -> Planned:
    """A run under its key, which the facts of its pictures decide, too."""
    from nowt.facts import start_facts

    key = run_key(config, pictures["fingerprint"])
    return Planned(key, cell, config.seed, config, start_facts(config, pictures))


def pictures_of(config: RunConfig, placement: Placement) -> dict[str, Any]:
    """The facts of the run's pictures, once its device and model are known to exist, too."""
    from nowt.data import open_data
    from nowt.facts import picture_facts
    from nowt.layers import not_replaced
    from nowt.models import build_model
    from nowt.shares import refuse_whole_norm, sizes
    from nowt.training import pick_device

    if not placement.shared:  # several workers have the devices of wherever they are
        pick_device(placement.device)
    most = sizes(config, placement.workers)[-1]
    data = open_data(config.data, placement, config.test)
    _enough(config, len(data.train))
    model = build_model(config.model, data.shape, data.classes, seed=0)
    refuse_whole_norm(config, model, most)
    return {**picture_facts(data), "not_replaced": not_replaced(model)}


def _enough(config: RunConfig, pictures: int) -> None:
    """Raise ConfigError where a batch or the probe wants more pictures than there are to train on."""
    shown = pictures * config.data.repeat
    times = f"{pictures} training pictures" + (f", {config.data.repeat} times each" if config.data.repeat > 1 else "")
    require(
        config.batch <= shown, f"batch is {config.batch}: it must be at most {shown}, an epoch's pictures ({times})"
    )
    samples = config.probe.samples
    require(samples <= pictures, f"probe.samples is {samples}: it must be at most {pictures}, the training pictures")


def remarks(plan: tuple[Planned, ...]) -> list[str]:
    """A line for each data set of which on_bad="skip" leaves pictures out, with the first of their names, and one for
    each model with weights that no rule covers."""
    from nowt.layers import left_to_backprop

    skipped = dict.fromkeys(tuple(planned.start["skipped"]) for planned in plan if planned.start["skipped"])
    ruled = [planned for planned in plan if planned.config.rule.name != "bp" and planned.start["not_replaced"]]
    others = dict.fromkeys((p.config.model.name, tuple(p.start["not_replaced"])) for p in ruled)
    lines = [f"{len(lines)} picture{'s' * (len(lines) > 1)} left out: {_first(lines)}" for lines in skipped]
    return lines + [f"{model}: {left_to_backprop(names)}" for model, names in others]


def _first(lines: tuple[str, ...], most: int = 3) -> str:
    return ", ".join(line.partition(": ")[0] for line in lines[:most]) + (", ..." if len(lines) > most else "")


def certificates(store: Path, rules: Sequence[Rule], say: Callable[[str], None]) -> None:
    """Certify each of the built-in ones among ``rules`` once a store, so that a run's record can carry its certificate.

    A rule of one's own may take any time, or fail: ``nowt certify FILE.py`` certifies it when its author says so.
    """
    from nowt.certify import certificate_path, certify_into
    from nowt.rules import RULES

    for rule in dict.fromkeys(rule for rule in rules if type(rule) in RULES):
        path = certificate_path(store, rule)
        if not path.exists() and not certify_into(store, rule).passed:
            say(f"{rule.name} does not keep all its promises: {path}")


def quick(study: Study) -> Study:
    """The study shrunk to a few minutes: two epochs, few pictures, one seed; a study of its own by its key."""
    from nowt.train import quick as shrink

    cells = tuple(Cell(cell.name, shrink(cell.config)) for cell in study.cells)
    keep = shortened(study.keep, max(cell.config.epochs for cell in cells))
    return replace(study, name=f"{study.name}_quick", cells=cells, seeds=study.seeds[:1], keep=keep)


def _run(study: Study, sheet: Sheet, plan: tuple[Planned, ...], how: How) -> Outcome:
    from nowt.record import open_quietly

    store = Path(how.placement.store)
    progress = StudyProgress(plan)
    with open_quietly(store, sheet) as record:

        def heard(planned: Planned, run: RunLog) -> None:
            record.update(run, planned.cell, planned.seed)
            progress.heard(planned, run)

        ledger = Ledger(store, plan, heard)
        with progress.bar:
            ledger.recall()
            progress.begin()
            ending = work(ledger, how, study.key, min(how.placement.at_a_time, len(plan)), ledger.by_key)
    ledger.release()
    return _outcome(study, ledger, ending.interrupted, how.cap.spoken() if ending.capped else "")


def _outcome(study: Study, ledger: Ledger, interrupted: bool, capped: str) -> Outcome:
    states = {planned.key: ledger.facts[planned.key].state for planned in ledger.plan if planned.key in ledger.facts}
    failed = tuple(f"{p.cell} seed {p.seed} (run {p.key})" for p in ledger.plan if states.get(p.key) == "failed")
    counts = (list(states.values()).count("finished"), list(states.values()).count("diverged"))
    return Outcome(study, len(ledger.plan), *counts, failed, interrupted, capped)
