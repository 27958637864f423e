"""Displays the progress of a study: a progress bar on a terminal, otherwise one line per finished run."""

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nowt.core.formatting import counted, printable
from nowt.store.chance import last_error
from nowt.store.outcome import run_warnings
from nowt.store.records import FAILED_STATES, RunLog

if TYPE_CHECKING:
    from nowt.execution.scheduler import PlannedRun  # which imports torch, that `nowt show` does without


def ending_text(run: RunLog) -> str:
    """Return the run's state and reason. The reason may begin with the state itself: ``diverged at epoch 3``."""
    return run.reason if run.reason.startswith(run.state) else f"{run.state} {run.reason}".rstrip()


@dataclass
class StudyProgress:
    """Counts the epochs and runs of a study, and displays them."""

    plan: tuple["PlannedRun", ...]
    console: Console = field(default_factory=Console)
    ended: set[str] = field(default_factory=set)
    epochs: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    earlier_epochs: int | None = None  # trained by earlier starts; None until ``begin``

    def __post_init__(self) -> None:
        self.display = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs, left:"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        total = sum(planned.config.epochs for planned in self.plan)
        self.task = self.display.add_task(self._summary(), total=total)

    def begin(self) -> None:
        """Mark the end of the replay of earlier results; later updates are new."""
        self.started, self.earlier_epochs = time.monotonic(), sum(self.epochs.values())
        if self.ended:
            self._print(f"{len(self.ended)} of {counted(len(self.plan), 'run')} had finished before")

    def update(self, planned: "PlannedRun", run: RunLog) -> None:
        """Display the state of a run."""
        begun = self.earlier_epochs is not None
        self.epochs[planned.key] = max(0, run.last_epoch)
        if run.state == "running":
            self.ended.discard(planned.key)
        # an earlier failure is tried again
        elif planned.key not in self.ended and (begun or run.state not in FAILED_STATES):
            self.ended.add(planned.key)
            if begun:
                self._print(self._line(planned, run))
        self.display.update(self.task, completed=sum(self.epochs.values()), description=self._summary())

    def _print(self, line: str) -> None:
        self.display.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def _summary(self) -> str:
        return f"{len(self.ended)} of {counted(len(self.plan), 'run')}"

    def _line(self, planned: "PlannedRun", run: RunLog) -> str:
        count = f"[{len(self.ended)}/{len(self.plan)}]"
        name = f"{planned.cell} seed {planned.seed}"
        if run.state == "finished":
            score = last_error(run)
            outcome = f"{score.split} error {100 * score.error:.1f} % after {counted(run.last_epoch, 'epoch')}"
            outcome += "".join(f"; warning: {text}" for text in run_warnings(run))
        else:
            last_line = run.reason.strip().splitlines()[-1] if run.reason.strip() else ""
            outcome = ending_text(replace(run, reason=last_line))
        return f"{count} {name}: {outcome} (run {planned.key}){self._time_left()}"

    def _time_left(self) -> str:
        trained = sum(self.epochs.values()) - (self.earlier_epochs or 0)
        left = sum(p.config.epochs - self.epochs.get(p.key, 0) for p in self.plan if p.key not in self.ended)
        if self.display.disable and trained > 0 and left > 0:
            minutes = (time.monotonic() - self.started) / trained * left / 60
            return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
        return ""
