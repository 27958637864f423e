"""Lets this process, Ray Tune or groups of Ray Train workers do a study's work, under its cap."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nowt.config.placement import Placement
from nowt.execution.driver import Driver
from nowt.execution.spending_cap import SpendingCap, capped
from nowt.store.layout import Store
from nowt.store.study_file import read_study_file


@dataclass(frozen=True)
class Ending:
    """Why a study's work ended, where it is not all done."""

    interrupted: bool  # by the user
    capped: bool


@dataclass(frozen=True)
class ExecutionOptions:
    """How a study's runs are done: where, on how many slots, by whom, and how much they may take."""

    placement: Placement
    in_process: bool = False
    cap: SpendingCap = field(default_factory=SpendingCap)
    also: tuple[str, ...] = ()  # keys of runs of other studies that the cap counts, too
    since: int | None = None  # from when on it counts, in milliseconds since 1970; None: since the study was begun


def work(driver: Driver, how: ExecutionOptions, study: str, slots: int, runs: Iterable[str]) -> Ending:
    """Do what ``driver`` decides, ``slots`` runs at a time; ``runs`` are the keys of the runs so far of the
    ``study`` (its key)."""
    limited = capped(driver, how.cap, Path(how.placement.store), [*runs, *how.also], _since(how, study))
    whole = limited.done or _do(limited, how, study, slots)
    stopped = limited.over and not driver.done
    return Ending(interrupted=not whole and not stopped, capped=stopped)


def _since(how: ExecutionOptions, study: str) -> int:
    if how.since is not None or how.cap.most is None:
        return how.since or 0
    created: int = read_study_file(Store(Path(how.placement.store)).study_file(study)).created
    return created


def _do(driver: Driver, how: ExecutionOptions, study: str, slots: int) -> bool:
    """False where the user interrupted it."""
    if how.in_process:
        from nowt.execution import local

        return local.run(driver, how.placement)
    if how.placement.shared:
        from nowt.execution.ray_train import runner

        return runner.run(driver, how.placement, study, slots)
    from nowt.execution import ray_tune

    return ray_tune.run(driver, how.placement, study, slots)
