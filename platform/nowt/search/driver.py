"""A search, from a space to its finished trials: ask for what the budget allows, run it, tell how it ended."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from optuna.trial import TrialState

from nowt.ablate import plan_run
from nowt.config import ConfigError
from nowt.engine import Decision, next_cell
from nowt.ledger import Ledger, Message, Planned, write_atomically
from nowt.log import Epoch, RunLog, epoch_from_json
from nowt.search.decisions import Decisions, Trial
from nowt.search.space import Cell, Space
from nowt.search.stopping import stops

STATES = {"finished": TrialState.COMPLETE, "diverged": TrialState.PRUNED, "stopped": TrialState.PRUNED}


@dataclass
class Search:
    """Stands between the hands, the logs and Optuna's storage: every message goes to the log first, then to Optuna.

    After a crash the logs may know more than the storage, and a checkpoint more than both; a run that is handed out
    again tells all its epochs again, and what is stored already is left as it is.
    """

    space: Space
    ledger: Ledger
    decisions: Decisions
    pictures: Mapping[str, dict[str, Any]]  # facts of each cell's pictures
    rungs: Mapping[str, tuple[int, ...]]  # by cell
    sheet: dict[str, Any]
    trials: dict[str, list[Trial]] = field(default_factory=dict)  # by run key
    failed_now: list[Trial] = field(default_factory=list)

    def recall(self) -> None:
        """Take in the trials of earlier starts."""
        for trial in self.decisions.trials:
            self._plan(trial)
            if trial.handle is not None:  # a crash may have come before this was stored
                self.decisions.note(trial, {"key": trial.key})
        self.ledger.recall()
        self._settle()

    def decide(self) -> Decision:
        """What to do with a free slot; asks Optuna for a new trial where the budget has room for one."""
        while True:
            for key in self._ready():
                if self.ledger.claim(key):
                    return Decision("start", key)
            name = self._room()
            if name is None:
                return Decision("wait") if self.ledger.live or self._ready() else Decision("done")
            self._ask(next(cell for cell in self.space.cells if cell.name == name))

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self.ledger.live and not self._ready() and self._room() is None

    def begin(self, key: str) -> Planned:
        """See Ledger.begin."""
        return self.ledger.begin(key)

    def hear(self, key: str, message: Message) -> bool:
        """Take in one message of a live run; False where the run is to stop here."""
        if key not in self.ledger.live:
            return False
        self.ledger.hear(key, message)
        if message["kind"] == "epoch":
            epoch = epoch_from_json(message["epoch"])
            for trial in self._open(key):
                if (reason := self._judge(trial, epoch)) is not None:
                    self.ledger.hear(key, {"kind": "end", "state": "stopped", "reason": reason})
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
        busy = self.ledger.live | self.ledger.tried
        return [key for key in self.trials if key not in busy and self._open(key)]

    def _room(self) -> str | None:
        """The cell that gets the next trial, None where all have spent the budget."""
        budget, spent = self.space.budget, {cell.name: 0.0 for cell in self.space.cells}
        for trial in self.decisions.trials:
            if trial.state != TrialState.FAIL or trial in self.failed_now:
                spent[trial.cell.name] += 1 if budget.unit == "trials" else self._cost(trial)
        return next_cell(spent, budget.amount)

    def _cost(self, trial: Trial) -> float:
        run = self.ledger.logs.get(trial.key)
        last = run.epochs[-1] if run and run.epochs else None
        if last is None:
            return 0.0
        shown = last.presentations + last.mirror_presentations
        return {"presentations": float(shown), "flops": last.flops, "seconds": last.seconds}[self.space.budget.unit]

    def _ask(self, cell: Cell) -> None:
        trial = self.decisions.ask(cell)
        try:
            self._plan(trial)
        except ConfigError as error:
            self.decisions.tell(trial, TrialState.FAIL, str(error))
            raise ConfigError(f"search {self.space.name}, {cell.name}, trial {trial.number}: {error}") from None
        self.decisions.note(trial, {"key": trial.key})

    def _plan(self, trial: Trial) -> None:
        """Put the trial's run into the ledger's plan and the sheet."""
        config = replace(trial.cell.config_of(trial.values), seed=self.space.run_seed)
        planned = plan_run(trial.cell.name, config, self.pictures[trial.cell.name])
        trial.key = planned.key
        self.trials.setdefault(planned.key, []).append(trial)
        self.ledger.add(planned)
        listed = {"key": planned.key, "cell": planned.cell, "seed": planned.seed, "trial": trial.number}
        if listed not in self.sheet["runs"]:
            self.sheet["runs"].append(listed)
            path = self.ledger.store / "studies" / f"{self.space.key}.json"
            write_atomically(path, json.dumps(self.sheet, indent=1) + "\n")

    def _open(self, key: str) -> list[Trial]:
        return [trial for trial in self.trials[key] if not trial.state.is_finished()]

    def _judge(self, trial: Trial, epoch: Epoch) -> str | None:
        """Report the epoch; why the trial stops there, None where it goes on. An epoch long past is not judged again:
        the others have gone on meanwhile."""
        if epoch.epoch < max(1, trial.last_epoch):
            return None
        self.decisions.report(trial, epoch.epoch, epoch.val_error)
        if epoch.epoch not in self.rungs[trial.cell.name]:
            return None
        peers = [t for t in self.decisions.of(trial.cell) if t is not trial]
        others = [t.errors[epoch.epoch] for t in peers if epoch.epoch in t.errors]
        if not stops(self.space.stopping, epoch.val_error, others):
            return None
        return f"{self._label(trial)} stopped at the rung of epoch {epoch.epoch}, among {len(others) + 1}"

    def _label(self, trial: Trial) -> str:
        return f"{self.space.key}/{trial.cell.name} trial {trial.number}"

    def _settle(self) -> None:
        """Tell Optuna of every open trial whose run's log has an end."""
        for key, trials in self.trials.items():
            for trial in trials:
                if not trial.state.is_finished() and key not in self.ledger.live:
                    self._close(trial, self.ledger.logs.get(key))

    def _close(self, trial: Trial, run: RunLog | None) -> None:
        if run is None or run.state == "running":
            return
        if run.state == "stopped" and not run.reason.startswith(self._label(trial) + " "):
            return  # another search stopped this run; here it goes on
        if run.state == "failed" and run.key not in self.ledger.tried:
            return  # at an earlier start; it is tried again
        for epoch in run.epochs:
            if epoch.epoch > max(0, trial.last_epoch):
                self.decisions.report(trial, epoch.epoch, epoch.val_error)
        if run.state == "diverged":
            self.decisions.report(trial, run.last_epoch + 1, 1 - 1 / run.start["classes"])
        if run.state == "failed":
            self.failed_now.append(trial)
        self.decisions.tell(trial, STATES.get(run.state, TrialState.FAIL), _reason(run))


def _reason(run: RunLog) -> str:
    """Why a trial did not complete, in one line."""
    if run.state == "diverged":
        return "diverged"
    return run.reason.strip().splitlines()[-1] if run.reason.strip() else ""
