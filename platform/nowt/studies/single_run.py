"""``nowt train``: one run, in this process or on several workers, with the same log and MLflow run as in a study."""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.core.errors import Echo
from nowt.core.formatting import decimal
from nowt.execution.lifecycle import StudyExecution
from nowt.execution.notices import plan_notices
from nowt.execution.preparation import inspect_data, plan_run
from nowt.execution.progress import ending_text
from nowt.execution.run_queue import RunQueue
from nowt.execution.runner import ExecutionOptions
from nowt.execution.scheduler import PlannedRun
from nowt.store.audits import Audit, audits_in_words, chances_in_words
from nowt.store.chance import last_error
from nowt.store.layout import Store
from nowt.store.outcome import run_warnings
from nowt.store.records import RunLog, median_over_layers
from nowt.store.run_log import read
from nowt.training.retention import check_keep


def train_one(config: RunConfig, placement: Placement, echo: Echo) -> int:
    """Train, print a line per epoch, and return the exit code."""
    check_keep(placement.keep, config.epochs)
    planned = plan_run(config.rule.name, config, inspect_data(config, placement))
    options = ExecutionOptions(placement, in_process=not placement.is_distributed)
    execution = StudyExecution(planned.key, options, echo)
    execution.print_notices([execution.missing_checkpoints([planned.key])])
    if state := _result(execution.store, planned.key):
        echo(f"run {planned.key} has already {state}: nowt show {planned.key} --store {quote(str(placement.store))}")
        return 0
    execution.print_notices(plan_notices([planned]))
    with execution.lock():
        queue = RunQueue(execution.store, (planned,))
        if execution.run(queue, RunProgress(echo), slots=1).interrupted:
            raise KeyboardInterrupt
    return 0 if queue.statuses[planned.key].state in ("finished", "diverged") else 1


def _result(store: Path, key: str) -> str:
    """Return ``finished`` or ``diverged``, or an empty string for a run without a result."""
    path = Store(store).log(key)
    state = read(path).state if path.exists() else ""
    return state if state in ("finished", "diverged") else ""


@dataclass
class RunProgress:
    """Prints a line per epoch of a single run."""

    echo: Echo
    begun: bool = False
    attempts: int = 1
    audits: int = 0
    display: AbstractContextManager[Any] = nullcontext()  # noqa: RUF009 (it has no state)

    def begin(self) -> None:
        """Mark the end of the replay; later updates are new."""
        self.begun = True

    def update(self, planned: PlannedRun, run: RunLog) -> None:
        """Print the latest state of the run, unless it is part of the replay."""
        if not self.begun:
            return
        again, self.attempts = run.attempts > self.attempts, run.attempts
        audited, self.audits = len(run.audits) > self.audits, len(run.audits)
        if audited:
            if line := _audit_line(run.audits[-1]):
                self.echo(line)
        else:
            self.echo(f"run {run.key} resumes after epoch {max(run.last_epoch, 0)}" if again else _line(run))


def _audit_line(audit: Audit) -> str:
    """Return a line about an audit; empty for a step in which nothing was found, which the end of the run counts."""
    if audit.declares:
        return audits_in_words([audit])
    what = f"step {audit.step}" if audit.step else "work before learning"
    if not audit.examined:
        return f"{what} audited: it could not be examined"
    if not audit.step:
        return f"{what} audited: {audit.problem or 'no read of W found'}"
    return f"{what} audited: {audit.problem}" if audit.problem else ""


def _audit_summary(run: RunLog) -> list[str]:
    """Return a line about the audited steps of a run that has ended, and what they may have missed."""
    examined = [audit for audit in run.audits if audit.step and audit.examined]
    if not any(audit.step for audit in run.audits) or any(audit.problem for audit in run.audits):
        return []
    missed = f"; a rule is missed that reads W in {chances_in_words(len(examined))}" if examined else ""
    return [f"audited: {audits_in_words(run.audits)}{missed}"]


def _line(run: RunLog) -> str:
    if run.state == "failed":
        return f"run {run.key} failed:\n{run.reason}"
    if run.state != "running":
        warnings = [f"warning: {text}" for text in run_warnings(run)]
        return "\n".join([f"run {run.key} {ending_text(run)}", *_audit_summary(run), *warnings])
    if not run.epochs:
        return f"run {run.key} starts"
    e = run.epochs[-1]
    angle = median_over_layers("matrix_angle", e.layers)
    aligned = f"  median matrix angle {'undefined' if math.isnan(angle) else f'{angle:.1f}°'}" if e.layers else ""
    loss = "-" if math.isnan(e.train_loss) else decimal(e.train_loss, 4)
    score = last_error(run)
    error = "    -  " if math.isnan(score.error) else f"{100 * score.error:5.2f} %"
    return f"epoch {e.epoch:3}  train loss {loss:6}  {score.split} error {error}{aligned}"
