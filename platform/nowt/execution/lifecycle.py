"""The lifecycle of a study: lock it, write its study file, execute missing runs, report every change, release the lock.

``nowt train``, ``nowt ablate`` and ``nowt search`` share this code. They differ in the scheduler that chooses the next
run (a RunQueue or a SearchScheduler) and in how progress is displayed.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nowt.core.errors import Echo
from nowt.core.forked_children import ForkGuard
from nowt.core.output import open_missing_streams, tolerant_output
from nowt.execution.notices import ChangesReporter, missing_checkpoints_notice
from nowt.execution.runner import ExecutionOptions, execute
from nowt.execution.scheduler import PlannedRun, StudyScheduler
from nowt.execution.spending_cap import CappedScheduler, apply_cap
from nowt.rules.base import Rule
from nowt.store.certificates import outdated_certificates
from nowt.store.listed_runs import ListedRun
from nowt.store.locks import study_lock
from nowt.store.records import RunLog
from nowt.store.study_file import StudyFile, write_study_file


@dataclass(frozen=True)
class StudyOutcome:
    """How a study ended."""

    interrupted: bool  # by the user
    capped: bool


class Progress(Protocol):
    """Displays the progress of a study."""

    @property
    def display(self) -> AbstractContextManager[Any]:
        """Context manager that shows progress during execution."""

    def begin(self) -> None:
        """Mark the end of the replay of earlier results; later updates are new."""

    def update(self, planned: PlannedRun, run: RunLog) -> None:
        """Display the state of a run."""


@dataclass(frozen=True)
class StudyExecution:
    """One start of a study, a search or a single run. Use it inside ``with execution.lock():``."""

    key: str
    options: ExecutionOptions
    echo: Echo
    guard: ForkGuard = field(default_factory=ForkGuard, repr=False)

    @property
    def store(self) -> Path:
        """The store's folder."""
        return Path(self.options.placement.store)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the study. What is printed within the block cannot end it. Raises ConfigError if another process has
        locked the study. A child that custom code forks and that returns from it is ended."""
        open_missing_streams()
        self.guard.check()
        with tolerant_output(), study_lock(self.store, self.key), self.guard:
            yield

    def record(
        self,
        definition: dict[str, Any],
        rules: Sequence[Rule],
        runs: Sequence[ListedRun] = (),
        notices: Iterable[str] = (),
    ) -> StudyFile:
        """Write the study file, print notices, and certify the built-in rules.

        ``runs`` are the planned ones; a search has none, and its study file lists those of earlier starts.
        """
        self.guard.check()
        study_file, changed = write_study_file(self.store, self.key, definition, runs)
        keys = [run.key for run in runs or study_file.runs]
        self.print_notices([changed, *notices, self.missing_checkpoints(keys)])
        certify_builtin_rules(self.store, rules, self.echo)
        return study_file

    def missing_checkpoints(self, keys: Iterable[str]) -> str:
        """Return a notice if checkpoints that ``keep`` names no longer exist; otherwise an empty string."""
        placement = self.options.placement
        return missing_checkpoints_notice(self.store, keys, placement.keep, placement.checkpoints)

    def print_notices(self, lines: Iterable[str]) -> None:
        """Print each non-empty line."""
        for line in filter(None, lines):
            self.echo(line)

    def run(
        self, scheduler: StudyScheduler, progress: Progress, slots: int, study_file: StudyFile | None = None
    ) -> StudyOutcome:
        """Execute runs until nothing is left, the spending cap is reached or the user interrupts. Every change of a run
        goes to its log, to MLflow and to ``progress``, in this order. A single run has no ``study_file``."""
        self.guard.check()
        try:
            complete, stopped = self._run(scheduler, progress, slots, study_file)
        finally:  # also after an error, whose traceback may keep the scheduler, and so the locks, in memory
            scheduler.release()
        return StudyOutcome(interrupted=not complete and not stopped, capped=stopped)

    def _run(
        self, scheduler: StudyScheduler, progress: Progress, slots: int, study_file: StudyFile | None
    ) -> tuple[bool, bool]:
        """Execute as ``run`` does. Return whether everything was executed, and whether the cap stopped it."""
        from nowt.tracking.background import record_in_background

        with record_in_background(self.store, study_file) as recorder:
            changes = ChangesReporter(self.echo)

            def on_update(planned: PlannedRun, run: RunLog) -> None:
                recorder.update(run, planned.cell, planned.seed)
                progress.update(planned, run)
                changes.update(run)

            scheduler.subscribe(on_update)
            with progress.display:
                scheduler.load_results()
                progress.begin()
                changes.begun = True
                capped = self._capped(scheduler, study_file)
                complete = capped.done or execute(capped, self.options, self.key, slots)
                stopped = capped.exhausted and not scheduler.done
        return complete, stopped

    def _capped(self, scheduler: StudyScheduler, study_file: StudyFile | None) -> CappedScheduler:
        since = self.options.counted_since
        if since is None:
            since = 0 if study_file is None else study_file.created
        return apply_cap(
            scheduler, self.options.cap, self.store, [*scheduler.run_keys, *self.options.counted_runs], since
        )


def certify_builtin_rules(store: Path, rules: Sequence[Rule], echo: Echo) -> None:
    """Certify each built-in rule once per store and version, so that MLflow can show the certificate with each run.

    A certificate of earlier code, or of another version of nowt or torch, stays in the store, and a new one is written.
    Custom rules are not certified automatically, because this can be slow or fail. ``nowt certify FILE.py`` certifies
    one. Nor are settings that suit the study's network, but not that of certificates; a line says so.
    """
    from nowt.evaluation.certify.run import certificate_path, certify_into, settings_of
    from nowt.rules.registry import builtin_rules

    for rule in dict.fromkeys(rule for rule in rules if type(rule) in builtin_rules()):
        path = certificate_path(store, rule)
        if path.exists():
            continue
        for name, changes in outdated_certificates(store, rule.name, settings_of(rule), path.name)[-1:]:
            echo(f"{name} is outdated ({changes}): {rule.name} is certified again")
        try:
            passed = certify_into(store, rule).passed
        except ValueError as error:
            echo(f"{rule.name} is not certified, since its settings do not suit the network of certificates: {error}")
            continue
        if not passed:
            echo(f"{rule.name} does not keep all its promises: {path}")
