"""``nowt upgrade``: maps the keys of a store that an earlier version wrote to today's, and lists the rest with reasons.

The journal is written first and removed last. An interrupted upgrade is completed by the next one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from nowt.config.placement import Placement
from nowt.core.errors import ConfigError, Echo, require
from nowt.core.formatting import counted
from nowt.store.existing import nearest_store
from nowt.store.files import read_plain_file
from nowt.store.layout import Store
from nowt.store.links import check_links
from nowt.store.locks import describe_holder, is_locked, study_lock
from nowt.store.run_log import read
from nowt.store.study_file import StudyFile, read_study_files
from nowt.studies.upgrade.journal import read_journal, remove_journal, write_journal
from nowt.studies.upgrade.plan import Plan, UpgradedRun, plan_upgrade
from nowt.studies.upgrade.rewrite import (
    move_checkpoints,
    rewrite_probe_results,
    rewrite_study_files,
    set_logs_aside,
    write_logs,
)


def upgrade(placement: Placement, echo: Echo, dry_run: bool = False) -> Plan:
    """Give the runs of ``placement.store`` today's keys where their content is shown to be equal.

    With ``dry_run``, only print what would be done. Raises ConfigError for a folder that is no store and if one of its
    studies or runs is in progress, ValueError for a file that cannot be read, OSError if the store is not writable.
    """
    store = Path(placement.store)
    is_store = Store(store).logs.is_dir() or (store.is_dir() and not any(store.iterdir()))
    near = "" if is_store else nearest_store(store)
    require(is_store, f"there is no store at {store}{near}: name the folder that nowt ablate wrote")
    check_links(store)
    with ExitStack() as stack:
        for study_file in read_study_files(store) if not dry_run else []:
            stack.enter_context(study_lock(store, study_file.key))
        _check_idle(store)
        if unfinished := read_journal(store):
            completed = "" if dry_run else " and is completed"
            echo(f"an upgrade of {counted(len(unfinished), 'run')} was interrupted{completed}")
            if not dry_run:
                _apply(store, unfinished)
        plan = plan_upgrade(store, placement)
        report = list(_report(store, plan, dry_run))  # with the former keys, by which the study files still list runs
        if plan.upgraded and not dry_run:
            write_journal(store, plan.upgraded)
            _apply(store, plan.upgraded)
        for line in report:
            echo(line)
    return plan


def _check_idle(store: Path) -> None:
    """Raise ConfigError if a process is writing a log of the store."""
    for path in Store(store).log_files():
        if is_locked(path):
            holder = describe_holder(path)
            raise ConfigError(f"run {path.stem} is in progress in {holder}: wait for it, or stop it, and upgrade again")


def _apply(store: Path, runs: Sequence[UpgradedRun]) -> None:
    """Carry out the journal. Each step is complete on disk before the next one, and skips what is done."""
    from nowt.studies.upgrade.trials import rewrite_trials
    from nowt.tracking.refresh import rebuild

    runs = write_logs(store, runs)
    keys = {run.earlier: run.key for run in runs}
    move_checkpoints(store, runs)
    rewrite_study_files(store, keys)
    rewrite_probe_results(store, keys)
    rewrite_trials(store, keys, {run.start["earlier"][-1]["fingerprint"]: run.start["fingerprint"] for run in runs})
    set_logs_aside(store, runs)
    if Store(store).mlflow_db.exists():
        rebuild(store)
    remove_journal(store)


def _report(store: Path, plan: Plan, dry_run: bool) -> Iterator[str]:
    if not plan.upgraded and not plan.kept:
        yield f"{store}: nothing to upgrade, {_why_nothing(plan.current)}"
        return
    cells = _cells(read_study_files(store))
    upgraded = f"{counted(len(plan.upgraded), 'run')} {'would be ' if dry_run else ''}upgraded"
    yield f"{store}: {upgraded}, {len(plan.kept)} not upgraded, {plan.current} of this version already"
    for run in plan.upgraded:
        yield f"  {run.earlier} becomes {run.key}{cells.get(run.earlier, '')}"
    if plan.kept:
        yield "not upgraded; these runs stay readable, but the same study trains them again:"
    for kept in plan.kept:
        yield f"  {kept.key}{cells.get(kept.key, '')}: {kept.reason}"
    yield from _search_notes(store, {*(run.earlier for run in plan.upgraded), *(run.key for run in plan.kept)})
    for note in sorted(Store(store).outboxes.glob("*/url")) if plan.upgraded else []:
        server = read_plain_file(note).decode().strip()
        yield f"{server} keeps its entries of the former keys; nowt deliver --to {server} adds those of today"


def _why_nothing(current: int) -> str:
    """Return why a store without runs of an earlier version has nothing to upgrade."""
    if not current:
        return "since it has no runs"
    which = "its only run is" if current == 1 else f"all {current:,} runs are"
    return f"since {which} of this version"


def _cells(study_files: Sequence[StudyFile]) -> Mapping[str, str]:
    """Return study, cell and seed of each listed run, as text."""
    return {
        run.key: f" ({study_file.name}, {run.cell}, {'seed' if run.trial is None else 'trial'} "
        f"{run.seed if run.trial is None else run.trial})"
        for study_file in study_files
        for run in study_file.runs
    }


def _search_notes(store: Path, earlier: Collection[str]) -> Iterator[str]:
    """Yield a line for each search whose later proposals would be others today, given the runs of earlier versions."""
    for search in read_study_files(store):
        if search.sampler != "tpe":
            continue
        diverged = {
            (run.cell, run.trial or 0) for run in search.runs if run.key in earlier and _has_diverged(store, run.key)
        }
        if any(run.cell == cell and (run.trial or 0) > trial for run in search.runs for cell, trial in diverged):
            yield (
                f"search {search.key}: TPE now ranks diverged trials last, so that later trials would be others today; "
                "its trials stay as they are"
            )


def _has_diverged(store: Path, key: str) -> bool:
    path = Store(store).log(key)
    return path.exists() and read(path).state == "diverged"
