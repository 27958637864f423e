"""What a long study shows while it runs: one bar on a terminal, one line a finished run elsewhere."""

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nowt.ledger import Planned
from nowt.log import RunLog


@dataclass
class StudyProgress:
    """Counts epochs and runs, and prints how they go."""

    plan: tuple[Planned, ...]
    console: Console = field(default_factory=Console)
    done: set[str] = field(default_factory=set)
    epochs: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

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

    def heard(self, planned: Planned, run: RunLog) -> None:
        """Take in what a run's log says now."""
        self.epochs[planned.key] = max(0, run.last_epoch)
        if run.state == "running":
            self.done.discard(planned.key)  # it had failed, and is tried again
        elif planned.key not in self.done:
            self.done.add(planned.key)
            self.bar.console.print(self._line(planned, run), markup=False, highlight=False, soft_wrap=True)
        self.bar.update(self.task, completed=sum(self.epochs.values()), description=self._summary())

    def _summary(self) -> str:
        return f"{len(self.done)} of {len(self.plan)} runs"

    def _line(self, planned: Planned, run: RunLog) -> str:
        count = f"[{len(self.done)}/{len(self.plan)}]"
        name = f"{planned.cell} seed {planned.seed}"
        if run.state == "finished":
            last = run.epochs[-1]
            outcome = f"val error {100 * last.val_error:.1f} % after {last.epoch} epochs"
        else:
            outcome = f"{run.state}: {run.reason.strip().splitlines()[-1] if run.reason else ''}"
        return f"{count} {name}: {outcome} (run {planned.key}){self._left()}"

    def _left(self) -> str:
        total, done = sum(p.config.epochs for p in self.plan), sum(self.epochs.values())
        if self.bar.disable and 0 < done < total:
            minutes = (time.monotonic() - self.started) / done * (total - done) / 60
            return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
        return ""
