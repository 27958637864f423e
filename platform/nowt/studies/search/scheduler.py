"""Drives a search: asks Optuna for the trials that the budget allows, schedules their runs, and reports the results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optuna.trial import TrialState

from nowt.core.errors import ConfigError, require
from nowt.execution.preparation import plan_run
from nowt.execution.run_queue import RunQueue
from nowt.execution.scheduler import Decision, Message, OnUpdate, PlannedRun
from nowt.store.listed_runs import Identity, ListedRun
from nowt.store.records import FAILED_STATES, FINAL_STATES, Epoch, RunLog, chance_error, epoch_from_json
from nowt.store.study_file import StudyFile, append_failure, append_run, append_stop
from nowt.studies.search.budget import BudgetTracker
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.early_stopping import RungErrors, should_stop
from nowt.studies.search.result import DIVERGED
from nowt.studies.search.space import SearchSpace
from nowt.studies.search.trial_storage import Trial, TrialStorage

STATES = {"finished": TrialState.COMPLETE, "diverged": TrialState.PRUNED, "stopped": TrialState.PRUNED}


@dataclass
class SearchScheduler:
    """Connects the execution, the epoch logs and Optuna's storage. Every message is written to the log first, then to
    Optuna.

    After a crash the logs may have more epochs than the storage, and a checkpoint more than both. A resumed run reports
    all its epochs again; those that are stored already are left unchanged.
    """

    space: SearchSpace
    queue: RunQueue
    storage: TrialStorage
    image_facts: Mapping[str, dict[str, Any]]  # by cell
    rungs: Mapping[str, tuple[int, ...]]  # by cell
    study_file: StudyFile
    open_trials: dict[str, list[Trial]] = field(default_factory=dict)  # trials that have not ended, by run key
    listed: dict[Identity, ListedRun] = field(default_factory=dict)  # the runs in the study file
    budget: BudgetTracker = field(init=False)
    rung_errors: RungErrors = field(init=False)

    def __post_init__(self) -> None:
        names = [cell.name for cell in self.space.cells]
        min_costs = {cell.name: self._min_cost(cell) for cell in self.space.cells}
        self.budget = BudgetTracker(self.space.budget, dict.fromkeys(names, 0.0), min_costs)
        self.rung_errors = RungErrors(self.rungs)

    def _min_cost(self, cell: SearchCell) -> float:
        """Return the lowest cost of a complete trial; 0 if it is unknown."""
        presentations = cell.config.epochs * self.image_facts[cell.name]["training"] * cell.config.data.repeat
        return float(presentations) if self.space.budget.unit == "presentations" else 0.0

    def load_results(self) -> None:
        """Read the trials of earlier starts."""
        self.listed = {run.identity: run for run in self.study_file.runs}
        for trial in self.storage.trials:
            if trial.state == TrialState.FAIL:  # its draw is tried again
                if trial.key:
                    self._list(trial)
                continue
            for epoch, error in trial.errors.items():
                self.rung_errors.record(trial.cell.name, trial.number, epoch, error)
            self.budget.count(trial, trial.cost)
            if trial.state.is_finished():
                self.budget.close(trial)
                self._list(trial)
            else:
                self._plan(trial)
        self.queue.load_results()
        self._close_stopped_trials()
        self._close_ended_trials()

    def decide(self) -> Decision:
        """Return what to do with a free slot. Asks Optuna for a new trial if the budget allows one."""
        while True:
            for key in self._ready():
                if self.queue.try_lock(key):
                    return Decision("start", key)
            name = self._next_cell()
            if name is None:
                return Decision("wait") if self.queue.running or self._ready() else Decision("done")
            self._ask(next(cell for cell in self.space.cells if cell.name == name))

    def _next_cell(self) -> str | None:
        """Return the name of the cell that has budget for one more trial."""
        return self.budget.next_cell(trial for trials in self.open_trials.values() for trial in trials)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do. It closes no trial."""
        waiting = any(not self._over(key) for key in self._waiting())
        return not self.queue.running and not waiting and self._next_cell() is None

    @property
    def spent_share(self) -> float:
        """Share of the total budget that is spent."""
        return self.budget.spent_share

    @property
    def run_keys(self) -> Sequence[str]:
        """Keys of all runs of the search so far."""
        return [run.key for run in self.study_file.runs]

    def subscribe(self, on_update: OnUpdate) -> None:
        """Call ``on_update`` whenever the log of a run has changed."""
        self.queue.subscribe(on_update)

    def release(self) -> None:
        """Release the log locks of unfinished runs so that another study can resume them."""
        self.queue.release()

    def begin(self, key: str) -> PlannedRun:
        """Start a run that ``decide`` named."""
        return self.queue.begin(key)

    def receive(self, key: str, message: Message) -> bool:
        """Process one message of a running run. Return False if the run must stop."""
        if key not in self.queue.running:
            return False
        self.queue.receive(key, message)
        if message["kind"] == "epoch":
            epoch = epoch_from_json(message["epoch"])
            for trial in self.open_trials[key]:
                self.budget.count(trial, epoch.cost)
                if (reason := self._reason_to_stop(trial, epoch)) is not None:
                    self.queue.receive(key, {"kind": "end", "state": "stopped", "reason": reason})
                    self.queue.attempted.discard(key)  # a trial of another cell may need the same run, and resume it
                    self._close_ended_trials()
                    return False
        elif message["kind"] == "end":
            self._close_ended_trials()
        return True

    def mark_failed(self, key: str, reason: str) -> None:
        """End a run whose worker is lost for good."""
        self.receive(key, {"kind": "end", "state": "failed", "reason": reason})

    def _ready(self) -> list[str]:
        """Return the runs of open trials that are not running; those of earlier starts come first."""
        self._close_ended_trials()
        return self._waiting()

    def _waiting(self) -> list[str]:
        return [key for key in self.open_trials if key not in self.queue.running and key not in self.queue.attempted]

    def _over(self, key: str) -> bool:
        """Return whether the run has ended for all its trials."""
        run = self.queue.logs.get(key)
        return run is not None and all(self._has_ended(trial, run) for trial in self.open_trials[key])

    def _ask(self, cell: SearchCell) -> None:
        trial = self.storage.ask(cell)
        try:
            self._plan(trial)
        except ConfigError as error:
            self.storage.tell(trial, TrialState.FAIL, str(error))
            raise ConfigError(f"search {self.space.name}, {cell.name}, trial {trial.number}: {error}") from None
        self.budget.count(trial, trial.cost)
        run = self.queue.logs.get(trial.key)
        if run and run.state in FINAL_STATES:  # another cell or search has finished it, so it never begins here
            self.queue.on_update(self.queue.by_key[trial.key], run)

    def _plan(self, trial: Trial) -> None:
        """Add the trial's run to the queue, and to the study file unless it is listed there."""
        changed = f"search {self.space.name}: a file of its models has changed since this command began"
        require(replace(self.space).key == self.space.key, f"{changed}; run the same command again, or undo the change")
        config = replace(trial.cell.config_of(trial.values), seed=self.space.run_seed)
        planned = plan_run(trial.cell.name, config, self.image_facts[trial.cell.name])
        trial.key = planned.key
        self.open_trials.setdefault(planned.key, []).append(trial)
        self.queue.add(planned)
        stopped = self._list(trial).stopped is not None
        if (run := self.queue.logs.get(planned.key)) and not stopped:
            self.budget.count(trial, run.cost)
        self.storage.set_attributes(trial, {"key": trial.key})

    def _list(self, trial: Trial) -> ListedRun:
        """Add the trial's run, and how it ended, to the study file unless they are listed there: a crash may have come
        before the line, and a power cut may have lost it. Return the entry."""
        entry = self._run_entry(trial)
        if entry.identity not in self.listed:
            self.listed[entry.identity] = entry
            append_run(self.queue.store, self.study_file, entry)
        known = self.listed[entry.identity]
        if trial.state == TrialState.FAIL and not known.failed:
            append_failure(self.queue.store, self.study_file, entry)
        elif trial.state == TrialState.PRUNED and known.stopped is None and trial.reason.startswith(self._label(trial)):
            append_stop(self.queue.store, self.study_file, entry, trial.last_epoch, trial.reason)
        return known

    def _run_entry(self, trial: Trial) -> ListedRun:
        """Return the trial's entry among the runs of the study file."""
        return ListedRun(trial.key, trial.cell.name, self.space.run_seed, trial.number)

    def _reason_to_stop(self, trial: Trial, epoch: Epoch) -> str | None:
        """Report the epoch; return why the trial stops there, None if it continues. Epochs that were reported before
        are not judged again, because the other trials have continued since."""
        if epoch.epoch < max(1, trial.last_epoch):
            return None
        if epoch.epoch > trial.last_epoch + 1:  # a trial of another cell had started the run
            self._catch_up(trial, [e for e in self.queue.logs[trial.key].epochs if e.epoch < epoch.epoch])
        if (at := self._report(trial, epoch.epoch, epoch.val_error)) is None:
            return None
        others = [error for number, error in at.items() if number != trial.number]
        if not should_stop(self.space.stopping, epoch.val_error, others):
            return None
        return f"{self._label(trial)}{trial.number} stopped at the rung of epoch {epoch.epoch}, among {len(at)}"

    def _report(self, trial: Trial, epoch: int, error: float) -> dict[int, float] | None:
        """Report the error to Optuna; return the errors of all trials at this rung, None if the epoch is not a rung."""
        self.storage.report(trial, epoch, error)
        return self.rung_errors.record(trial.cell.name, trial.number, epoch, error)

    def _catch_up(self, trial: Trial, epochs: Iterable[Epoch]) -> None:
        """Report the epochs that the trial lacks; it does not stop at them, because they are past."""
        for epoch in epochs:
            if epoch.epoch > max(0, trial.last_epoch):
                self._report(trial, epoch.epoch, epoch.val_error)

    def _label(self, trial: Trial) -> str:
        """Return the beginning of the reason for which this search stops a run of this cell early."""
        return f"{self.space.key}/{trial.cell.name} trial "

    def _close_stopped_trials(self) -> None:
        """End every open trial that the study file lists as stopped: a crash came before Optuna had it. Another search
        may have continued its run since, which does not count here."""
        for key, trials in list(self.open_trials.items()):
            for trial in trials:
                entry = self.listed[self._run_entry(trial).identity]
                if entry.stopped is not None:
                    self._close_stopped(trial, entry.stopped, entry.reason or "")
            self._forget_closed(key)

    def _close_stopped(self, trial: Trial, epoch: int, reason: str) -> None:
        run = self.queue.logs.get(trial.key)
        until = [e for e in run.epochs if e.epoch <= epoch] if run else []
        self._catch_up(trial, until)
        self.budget.count(trial, until[-1].cost if until else {})
        self.budget.close(trial)
        self.storage.tell(trial, TrialState.PRUNED, reason)

    def _forget_closed(self, key: str) -> None:
        """Remove the ended trials of a run, and the run if all have ended."""
        still_open = [trial for trial in self.open_trials[key] if not trial.state.is_finished()]
        if still_open:
            self.open_trials[key] = still_open
        else:
            del self.open_trials[key]
            self.queue.forget(key)

    def _close_ended_trials(self) -> None:
        """Report to Optuna every open trial whose run has ended in its log."""
        for key in [key for key in self.open_trials if key not in self.queue.running]:
            if (run := self.queue.logs.get(key)) is not None:
                for trial in self.open_trials[key]:
                    self._close(trial, run)
            self._forget_closed(key)

    def _close(self, trial: Trial, run: RunLog) -> None:
        """End the trial if its run has ended."""
        if not self._has_ended(trial, run):
            return
        self._catch_up(trial, run.epochs)
        if run.state == "diverged":  # counts as an error at chance
            self._report(trial, run.last_epoch + 1, chance_error(run.start["classes"]))
        self.budget.count(trial, run.cost)
        self.budget.close(trial)
        if run.state == "stopped":  # before Optuna has it, because another search may resume the run
            append_stop(self.queue.store, self.study_file, self._run_entry(trial), run.last_epoch, run.reason)
        self.storage.tell(trial, STATES.get(run.state, TrialState.FAIL), _reason(run))
        if run.state in FAILED_STATES:  # a later trial gets its draw
            append_failure(self.queue.store, self.study_file, self._run_entry(trial))
            self.rung_errors.forget(trial.cell.name, trial.number)

    def _has_ended(self, trial: Trial, run: RunLog) -> bool:
        """Return whether the run has ended for this trial."""
        if run.state == "stopped":  # one that another search has stopped continues here
            return run.reason.startswith(self._label(trial))
        if run.state in FAILED_STATES:  # one that failed at an earlier start is tried again
            return run.key in self.queue.attempted
        return run.state != "running"


def _reason(run: RunLog) -> str:
    """Return why a trial is not complete, in one line."""
    if run.state == "diverged":
        return DIVERGED
    return run.reason.strip().splitlines()[-1] if run.reason.strip() else ""
