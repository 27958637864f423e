"""Runs a study's runs on Ray Tune: warm actors on all cores. The only module with ray.tune.

Tune places, restarts and keeps the machine full. What to start is the ledger's decision (``_Plan`` carries it), and
every result goes to the ledger (``_Judge``), which says whether the run goes on. To resume is to start again: nothing
of Tune's own is restored.
"""

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from nowt.config.placement import Placement
from nowt.execution.driver import Driver, Message, PlannedRun, hand_on
from nowt.execution.job import Job, perform
from nowt.execution.preemption import listening
from nowt.execution.ray_lifecycle import joined, refuse_missing_gpus, scratch, taken_away

T = TypeVar("T")

WORKER_DEATHS = 3  # times a run is started again after its worker was lost, each time from its checkpoint

ENVIRONMENT = {
    # A reused actor whose last run ends slowly would fail the next run after 2 s, in silence: let it wait.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "86400",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def run(ledger: Driver, placement: Placement, study: str, slots: int) -> bool:
    """Do all that the ledger decides, ``slots`` runs at a time; False where it was interrupted (Ctrl-C once, or
    SIGTERM)."""
    careful = _Careful(ledger)
    plan = _Plan(careful, placement)
    place = Path(placement.store).resolve() / ".tune" / study
    with joined(slots * placement.threads, ENVIRONMENT), scratch(place) as folder:
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # ray.init took it
        resources = _resources(placement, slots)
        refuse_missing_gpus(resources.get("gpu", 0), "a run needs", "a smaller --gpus-per-worker, none at all")
        trainable = tune.with_resources(_work, resources)
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=plan,
                scheduler=_Judge(careful),
                num_samples=-1,
                max_concurrent_trials=slots,
                reuse_actors=True,
                trial_name_creator=lambda trial: trial.trial_id,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="study",
                storage_path=str(folder),
                failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS),
                verbose=0,
            ),
        )
        tuner.fit()
    if careful.trouble is not None:
        raise careful.trouble
    return ledger.done  # fit() returns as usual after Ctrl-C: what is left tells


@dataclass
class _Careful:
    """A driver whose first OSError (a full disk, a locked database) ends the study: out of Tune's loop it would be a
    traceback, so it is kept, every run is stopped at its next message, and it is raised when Tune is done."""

    driver: Driver
    trouble: OSError | None = None

    def next(self) -> PlannedRun | None:
        """The run that is to start; None where there is none now."""
        decision = self._try(self.driver.decide)
        if decision is not None and decision.do == "start":
            return self._try(lambda: self.driver.begin(decision.key))
        return None

    @property
    def over(self) -> bool:
        """Whether no run will start any more."""
        decision = self._try(self.driver.decide)
        return decision is None or decision.do == "done"

    def hear(self, key: str, message: Message) -> bool:
        """See Driver."""
        return bool(self._try(lambda: hand_on(self.driver, key, message)))

    def lose(self, key: str, reason: str) -> None:
        """See Driver."""
        self._try(lambda: self.driver.lose(key, reason))

    def _try(self, act: Callable[[], T]) -> T | None:
        try:
            return act() if self.trouble is None else None
        except OSError as error:
            self.trouble = error
            return None


def _work(config: dict[str, Any]) -> None:
    """What a warm actor does with one job: its messages are results, as text. The last epoch waits for the run's end,
    which follows at once: Tune takes some 6 ms for a result. On a node that is soon to go it works on, and writes
    checkpoints."""
    job, waiting = Job.from_text(config["job"]), []
    with listening(*taken_away()) as notices:
        for message in perform(job, should_save=notices.due):
            waiting.append(message)
            if message["kind"] != "epoch" or message["epoch"]["epoch"] < job.config.epochs:
                tune.report({"messages": json.dumps(waiting)})
                waiting = []


class _Plan(Searcher):  # type: ignore[misc]  # ray is untyped here
    """Hands Tune the ledger's next run whenever it asks."""

    def __init__(self, ledger: _Careful, placement: Placement) -> None:
        super().__init__()
        self.ledger = ledger
        self.placement = placement
        self.keys: dict[str, str] = {}  # run key by Tune's trial id

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next run, None for "ask again", FINISHED for "never again"."""
        planned = self.ledger.next()
        if planned is None:
            return str(Searcher.FINISHED) if self.ledger.over else None
        self.keys[trial_id] = planned.key
        return {"key": planned.key, "job": Job(planned.key, planned.config, self.placement).to_text()}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A run whose worker died too often is lost."""
        if error:
            self.ledger.lose(self.keys[trial_id], f"the run's worker died {WORKER_DEATHS + 1} times")

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the logs know."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the logs know."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher; there is nothing in it to keep


class _Judge(FIFOScheduler):  # type: ignore[misc]  # ray is untyped here
    """Carries every result to the ledger, and its word back: on, or stop."""

    def __init__(self, ledger: _Careful) -> None:
        super().__init__()
        self.ledger = ledger

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """What one run has to say."""
        heard = [self.ledger.hear(trial.config["key"], message) for message in json.loads(result["messages"])]
        return str(FIFOScheduler.CONTINUE if all(heard) else FIFOScheduler.STOP)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _resources(placement: Placement, slots: int) -> dict[str, float]:
    gpus = ray.cluster_resources().get("GPU", 0) if placement.device != "cpu" else 0
    each = min(1.0, gpus / slots) if placement.gpus_per_worker is None else placement.gpus_per_worker  # a run uses one
    return {"cpu": placement.threads, **({"gpu": each} if each else {})}
