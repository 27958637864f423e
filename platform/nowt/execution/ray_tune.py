"""Executes a study's runs on Ray Tune, in reused actors on all cores. Within nowt, only this module imports ray.tune.

Ray Tune places runs, restarts them and keeps the machines busy. A scheduler decides which run starts (a
``_RunSearcher`` passes it on to Tune) and receives every result (a ``_ResultForwarder`` passes it on to the scheduler),
which decides whether the run continues. Nothing of Tune's own state is restored: resuming means starting again.
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

from nowt.cluster.ray_internals import TUNE_SETTINGS
from nowt.config.placement import Placement
from nowt.execution.job import Job, run_job
from nowt.execution.preemption import watch_for_preemption
from nowt.execution.ray_lifecycle import check_gpus, connected_ray, connection_lost, preemption_sources, scratch_folder
from nowt.execution.scheduler import Decision, Message, PlannedRun, Scheduler, forward_message
from nowt.execution.slots import gpu_share

T = TypeVar("T")

WORKER_DEATHS = 3  # times a run restarts from its checkpoint after its worker died


def run(scheduler: Scheduler, placement: Placement, study: str, slots: int) -> bool:
    """Execute what ``scheduler`` decides, ``slots`` runs at a time. Return False if the user interrupted it, with one
    Ctrl-C or SIGTERM. Raises AccessError if Ray itself fails before the end."""
    guarded = _GuardedScheduler(scheduler)
    place = Path(placement.store).resolve() / ".tune" / study
    with connected_ray(slots * placement.threads, TUNE_SETTINGS), scratch_folder(place) as folder:
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # ray.init replaced the handler
        resources = _resources(placement, slots)
        check_gpus(resources.get("gpu", 0), "a run needs", "a smaller --gpus-per-worker")
        tuner = _tuner(guarded, placement, resources, slots, folder)
        try:
            _fit(tuner)
        except ray.exceptions.RayError as error:
            if guarded.error is None and not scheduler.done:
                raise connection_lost(error) from error
    if guarded.error is not None:
        raise guarded.error
    return scheduler.done  # after Ctrl-C, fit() returns as usual: whether runs are left shows the difference


def _tuner(
    guarded: "_GuardedScheduler", placement: Placement, resources: dict[str, float], slots: int, folder: Path
) -> tune.Tuner:
    """Return Tune, set to execute what ``guarded`` decides, with its own files in ``folder``."""
    return tune.Tuner(
        tune.with_resources(_run_trial, resources),
        tune_config=tune.TuneConfig(
            search_alg=_RunSearcher(guarded, placement),
            scheduler=_ResultForwarder(guarded),
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


def _fit(tuner: tune.Tuner) -> None:
    """Execute the trials. After an interruption, it does not matter how Ray ends: a busy machine may be too slow to
    release within Ray's time what the trials used."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        tuner.fit()
    except ray.exceptions.RayError:
        if signal.getsignal(signal.SIGINT) is not handler:  # Tune restores it when it is interrupted
            raise


@dataclass
class _GuardedScheduler:
    """A scheduler whose first error ends the study: a full disk, a locked database, a changed file, a bug.

    Inside Tune's loop the error would become a traceback. So it is stored, every run is stopped at its next message,
    and it is raised once Tune has returned.
    """

    scheduler: Scheduler
    error: Exception | None = None

    def decide(self) -> Decision:
        """Return what to do with a free slot; after an error, start no run."""
        return self._guard(self.scheduler.decide) or Decision("done")

    def begin(self, key: str) -> PlannedRun | None:
        """Start a run that ``decide`` named. Return None if that fails."""
        return self._guard(lambda: self.scheduler.begin(key))

    def receive(self, key: str, message: Message) -> bool:
        """Process one message of a running run. Return False if the run must stop."""
        return bool(self._guard(lambda: forward_message(self.scheduler, key, message)))

    def mark_failed(self, key: str, reason: str) -> None:
        """End a run whose worker is lost for good."""
        self._guard(lambda: self.scheduler.mark_failed(key, reason))

    def _guard(self, call: Callable[[], T]) -> T | None:
        try:
            return call() if self.error is None else None
        except Exception as error:
            self.error = error
            return None


def _run_trial(config: dict[str, Any]) -> None:
    """Execute one job in a reused actor and report its messages as text.

    The last epoch is reported together with the end, which follows at once: Tune needs about 6 ms per result. On a node
    that will be preempted, the job continues and writes checkpoints.
    """
    job, waiting = Job.from_text(config["job"]), []
    with watch_for_preemption(*preemption_sources()) as notice:
        for message in run_job(job, should_save=notice.checkpoint_due):
            waiting.append(message)
            if message["kind"] != "epoch" or message["epoch"]["epoch"] < job.config.epochs:
                tune.report({"messages": json.dumps(waiting)})
                waiting = []


class _RunSearcher(Searcher):  # type: ignore[misc]  # ray is untyped here
    """Gives Tune the scheduler's next run."""

    def __init__(self, scheduler: _GuardedScheduler, placement: Placement) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.placement = placement
        self.keys: dict[str, str] = {}  # run key by Tune's trial id

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next run, None for "ask again later", or FINISHED for "no more runs"."""
        decision = self.scheduler.decide()
        planned = self.scheduler.begin(decision.key) if decision.do == "start" else None
        if planned is None:
            return None if decision.do == "wait" else str(Searcher.FINISHED)
        self.keys[trial_id] = planned.key
        return {"key": planned.key, "job": Job.of(planned, self.placement).to_text()}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Mark a run as failed if its worker died too often."""
        if error:
            self.scheduler.mark_failed(self.keys[trial_id], f"the run's worker died {WORKER_DEATHS + 1} times")

    def save(self, checkpoint_path: str) -> None:
        """No-op: resuming reads the epoch logs."""

    def restore(self, checkpoint_path: str) -> None:
        """No-op: resuming reads the epoch logs."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher, which has nothing to keep


class _ResultForwarder(FIFOScheduler):  # type: ignore[misc]  # ray is untyped here
    """Forwards every result to the scheduler, and returns to Tune whether the run continues."""

    def __init__(self, scheduler: _GuardedScheduler) -> None:
        super().__init__()
        self.scheduler = scheduler

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Forward the messages of one run."""
        answers = [self.scheduler.receive(trial.config["key"], message) for message in json.loads(result["messages"])]
        return str(FIFOScheduler.CONTINUE if all(answers) else FIFOScheduler.STOP)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _resources(placement: Placement, slots: int) -> dict[str, float]:
    share = gpu_share(placement, ray.cluster_resources().get("GPU", 0), slots)
    return {"cpu": placement.threads, **({"gpu": share} if share else {})}
