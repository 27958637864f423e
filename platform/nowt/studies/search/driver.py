"""A search, from a space to its finished trials: ask for what the budget allows, run it, tell how it ended."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from optuna.trial import TrialState

from nowt.core.errors import ConfigError
from nowt.execution.driver import Decision, Message, PlannedRun
from nowt.execution.preparation import plan_run
from nowt.execution.run_queue import RunQueue
from nowt.store.records import OVER, Epoch, RunLog, chance_error, epoch_from_json
from nowt.store.study_file import ListedRun, StudyFile, append_failure, append_run, append_stop
from nowt.studies.search.budget import Spending
from nowt.studies.search.early_stopping import stops
from nowt.studies.search.space import SearchCell, SearchSpace
from nowt.studies.search.trials import Decisions, Trial

STATES = {"finished": TrialState.COMPLETE, "diverged": TrialState.PRUNED, "stopped": TrialState.PRUNED}


@dataclass
class Search:
    """Stands between the hands, the logs and Optuna's storage: every message goes to the log first, then to Optuna.

    After a crash the logs may know more than the storage, and a checkpoint more than both; a run that is handed out
    again tells all its epochs again, and what is stored already is left as it is.
    """

    space: SearchSpace
    ledger: RunQueue
    decisions: Decisions
    pictures: Mapping[str, dict[str, Any]]  # facts of each cell's pictures
    rungs: Mapping[str, tuple[int, ...]]  # by cell
    study_file: StudyFile
    open: dict[str, list[Trial]] = field(default_factory=dict)  # trials without an end, by run key
    spending: Spending = field(init=False)
    reached: dict[tuple[str, int], dict[int, float]] = field(default_factory=dict)  # errors by trial, by cell and rung

    def __post_init__(self) -> None:
        names = [cell.name for cell in self.space.cells]
        whole = {cell.name: self._least(cell) for cell in self.space.cells}
        self.spending = Spending(self.space.budget, dict.fromkeys(names, 0.0), whole)

    def _least(self, cell: SearchCell) -> float:
        """What a whole trial costs at the least, where that is known beforehand."""
        shown = cell.config.epochs * self.pictures[cell.name]["training"] * cell.config.data.repeat
        return float(shown) if self.space.budget.unit == "presentations" else 0.0

    def recall(self) -> None:
        """Take in the trials of earlier starts."""
        failed = {(run.key, run.cell, run.trial or 0): bool(run.failed) for run in self.study_file.runs}
        listed = set(failed)
        for trial in self.decisions.trials:
            if trial.state == TrialState.FAIL:  # its draw is tried again
                if not failed.get(
                    (trial.key, trial.cell.name, trial.number), True
                ):  # a crash kept it from the study file
                    append_failure(self.ledger.store, self.study_file, self._listing(trial))
                continue
            for epoch, error in trial.errors.items():
                self._at_rung(trial, epoch, error)
            self.spending.count(trial, trial.cost)
            if trial.state.is_finished():
                self.spending.close(trial)
                self._list(trial, listed)
            else:
                self._plan(trial, listed)
        self.ledger.recall()
        self._settle()

    def decide(self) -> Decision:
        """What to do with a free slot; asks Optuna for a new trial where the budget has room for one."""
        while True:
            for key in self._ready():
                if self.ledger.claim(key):
                    return Decision("start", key)
            name = self._next_cell()
            if name is None:
                return Decision("wait") if self.ledger.live or self._ready() else Decision("done")
            self._ask(next(cell for cell in self.space.cells if cell.name == name))

    def _next_cell(self) -> str | None:
        """The name of the cell that has room for one more trial."""
        return self.spending.next_cell(trial for trials in self.open.values() for trial in trials)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self.ledger.live and not self._ready() and self._next_cell() is None

    @property
    def share(self) -> float:
        """Share of the whole budget that is spent."""
        amount, spent = self.space.budget.amount, self.spending.spent.values()
        return sum(min(each, amount) for each in spent) / (amount * len(spent))

    def begin(self, key: str) -> PlannedRun:
        """See Ledger.begin."""
        return self.ledger.begin(key)

    def hear(self, key: str, message: Message) -> bool:
        """Take in one message of a live run; False where the run is to stop here."""
        if key not in self.ledger.live:
            return False
        self.ledger.hear(key, message)
        if message["kind"] == "epoch":
            epoch = epoch_from_json(message["epoch"])
            for trial in self.open[key]:
                self.spending.count(trial, epoch.cost)
                if (reason := self._judge(trial, epoch)) is not None:
                    self.ledger.hear(key, {"kind": "end", "state": "stopped", "reason": reason})
                    self.ledger.tried.discard(key)  # a trial of another cell may want the same run, and go on with it
                    self._settle()
                    return False
        elif message["kind"] == "end":
            self._settle()
        return True

    def lose(self, key: str, reason: str) -> None:
        """See Ledger.lose."""
        self.hear(key, {"kind": "end", "state": "failed", "reason": reason})

    def _ready(self) -> list[str]:
        """Runs of open trials that nobody is at; those of earlier starts come first."""
        self._settle()
        return [key for key in self.open if key not in self.ledger.live and key not in self.ledger.tried]

    def _ask(self, cell: SearchCell) -> None:
        trial = self.decisions.ask(cell)
        try:
            self._plan(trial, set())
        except ConfigError as error:
            self.decisions.tell(trial, TrialState.FAIL, str(error))
            raise ConfigError(f"search {self.space.name}, {cell.name}, trial {trial.number}: {error}") from None
        self.spending.count(trial, trial.cost)
        run = self.ledger.logs.get(trial.key)
        if run and run.state in OVER:  # in another cell or search: it is never begun here
            self.ledger.heard(self.ledger.by_key[trial.key], run)

    def _plan(self, trial: Trial, listed: set[tuple[str, str, int]]) -> None:
        """Put the trial's run into the ledger's plan, and under the study file's runs unless it is listed there."""
        config = replace(trial.cell.config_of(trial.values), seed=self.space.run_seed)
        planned = plan_run(trial.cell.name, config, self.pictures[trial.cell.name])
        trial.key = planned.key
        self.open.setdefault(planned.key, []).append(trial)
        self.ledger.add(planned)
        if run := self.ledger.logs.get(planned.key):
            self.spending.count(trial, run.cost)
        self._list(trial, listed)
        self.decisions.note(trial, {"key": trial.key})

    def _list(self, trial: Trial, listed: set[tuple[str, str, int]]) -> None:
        """List the trial's run in the study file unless it is there: a power failure may have lost its line."""
        if (trial.key, trial.cell.name, trial.number) not in listed:
            append_run(self.ledger.store, self.study_file, self._listing(trial))

    def _listing(self, trial: Trial) -> ListedRun:
        """The trial as a line of the study file's runs."""
        return ListedRun(trial.key, trial.cell.name, self.space.run_seed, trial.number)

    def _judge(self, trial: Trial, epoch: Epoch) -> str | None:
        """Report the epoch; why the trial stops there, None where it goes on. An epoch long past is not judged again:
        the others have gone on meanwhile."""
        if epoch.epoch < max(1, trial.last_epoch):
            return None
        if epoch.epoch > trial.last_epoch + 1:  # another cell's trial had begun the run
            self._catch_up(trial, [e for e in self.ledger.logs[trial.key].epochs if e.epoch < epoch.epoch])
        self.decisions.report(trial, epoch.epoch, epoch.val_error)
        if (at := self._at_rung(trial, epoch.epoch, epoch.val_error)) is None:
            return None
        others = [error for number, error in at.items() if number != trial.number]
        if not stops(self.space.stopping, epoch.val_error, others):
            return None
        return f"{self._label(trial)}{trial.number} stopped at the rung of epoch {epoch.epoch}, among {len(at)}"

    def _catch_up(self, trial: Trial, epochs: Iterable[Epoch]) -> None:
        """Report those of the epochs that the trial lacks, without a judgement: they are past."""
        for epoch in epochs:
            if epoch.epoch > max(0, trial.last_epoch):
                self.decisions.report(trial, epoch.epoch, epoch.val_error)
                self._at_rung(trial, epoch.epoch, epoch.val_error)

    def _at_rung(self, trial: Trial, epoch: int, error: float) -> dict[int, float] | None:
        """The errors of all trials that came to this rung, with this trial's; None where the epoch is no rung."""
        if epoch not in self.rungs[trial.cell.name]:
            return None
        at = self.reached.setdefault((trial.cell.name, epoch), {})
        at[trial.number] = error
        return at

    def _label(self, trial: Trial) -> str:
        """How the reason begins for which a run of this cell was stopped early."""
        return f"{self.space.key}/{trial.cell.name} trial "

    def _settle(self) -> None:
        """Tell Optuna of every open trial whose run's log has an end."""
        for key in [key for key in self.open if key not in self.ledger.live]:
            run = self.ledger.logs.get(key)
            left = [trial for trial in self.open[key] if not self._close(trial, run)]
            if left:
                self.open[key] = left
            else:
                del self.open[key]
                self.ledger.forget(key)

    def _close(self, trial: Trial, run: RunLog | None) -> bool:
        """Whether the trial has its end, and Optuna knows."""
        if run is None or run.state == "running":
            return False
        if run.state == "stopped" and not run.reason.startswith(self._label(trial)):
            return False  # another search stopped this run; here it goes on
        if run.state == "failed" and run.key not in self.ledger.tried:
            return False  # at an earlier start; it is tried again
        self._catch_up(trial, run.epochs)
        if run.state == "diverged":
            chance = chance_error(run.start["classes"])
            self.decisions.report(trial, run.last_epoch + 1, chance)
            self._at_rung(trial, run.last_epoch + 1, chance)  # as whoever starts again will read it
        self.spending.count(trial, run.cost)
        self.spending.close(trial)
        if run.state == "stopped":  # before Optuna knows: another search may take the run on
            append_stop(self.ledger.store, self.study_file, self._listing(trial), run.last_epoch, run.reason)
        self.decisions.tell(trial, STATES.get(run.state, TrialState.FAIL), _reason(run))
        if run.state == "failed":
            self._leave_draw(trial)
        return True

    def _leave_draw(self, trial: Trial) -> None:
        """The failed trial's draw will come again, under another number: to the rungs, and in the study file."""
        append_failure(self.ledger.store, self.study_file, self._listing(trial))
        for (cell, _), at in self.reached.items():
            if cell == trial.cell.name:
                at.pop(trial.number, None)


def _reason(run: RunLog) -> str:
    """Why a trial did not complete, in one line."""
    if run.state == "diverged":
        return "diverged"
    return run.reason.strip().splitlines()[-1] if run.reason.strip() else ""
