"""What a long study shows while it runs: one bar on a terminal, one line a finished run elsewhere."""

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nowt.store.records import RunLog

if TYPE_CHECKING:
    from nowt.execution.driver import PlannedRun  # which imports torch, that `nowt show` does without


def ending(run: RunLog) -> str:
    """The run's state with its reason, which may begin with the state itself: ``diverged at epoch 3``."""
    return run.reason if run.reason.startswith(run.state) else f"{run.state} {run.reason}".rstrip()


@dataclass
class StudyProgress:
    """Counts epochs and runs, and prints how they go."""

    plan: tuple["PlannedRun", ...]
    console: Console = field(default_factory=Console)
    done: set[str] = field(default_factory=set)
    epochs: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    before: int | None = None  # epochs that earlier commands had done; None while the logs are told

    def __post_init__(self) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs, left:"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        total = sum(planned.config.epochs for planned in self.plan)
        self.task = self.bar.add_task(self._summary(), total=total)

    def begin(self) -> None:
        """The logs are told: what is heard from now on is new."""
        self.started, self.before = time.monotonic(), sum(self.epochs.values())
        if self.done:
            self._print(f"{len(self.done)} of {len(self.plan)} runs were finished before")

    def heard(self, planned: "PlannedRun", run: RunLog) -> None:
        """Take in what a run's log says now."""
        self.epochs[planned.key] = max(0, run.last_epoch)
        if run.state == "running":
            self.done.discard(planned.key)
        elif planned.key not in self.done and (self.before is not None or run.state != "failed"):  # that is tried again
            self.done.add(planned.key)
            if self.before is not None:
                self._print(self._line(planned, run))
        self.bar.update(self.task, completed=sum(self.epochs.values()), description=self._summary())

    def _print(self, line: str) -> None:
        self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _summary(self) -> str:
        return f"{len(self.done)} of {len(self.plan)} runs"

    def _line(self, planned: "PlannedRun", run: RunLog) -> str:
        count = f"[{len(self.done)}/{len(self.plan)}]"
        name = f"{planned.cell} seed {planned.seed}"
        if run.state == "finished":
            last = run.epochs[-1]
            outcome = f"val error {100 * last.val_error:.1f} % after {last.epoch} epochs"
        else:
            last_line = run.reason.strip().splitlines()[-1] if run.reason.strip() else ""
            outcome = ending(replace(run, reason=last_line))
        return f"{count} {name}: {outcome} (run {planned.key}){self._left()}"

    def _left(self) -> str:
        done = sum(self.epochs.values()) - (self.before or 0)
        left = sum(p.config.epochs - self.epochs.get(p.key, 0) for p in self.plan if p.key not in self.done)
        if self.bar.disable and done > 0 and left > 0:
            minutes = (time.monotonic() - self.started) / done * left / 60
            return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
        return ""
