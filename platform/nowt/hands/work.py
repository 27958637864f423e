"""Lets this process, Ray Tune or groups of Ray Train workers do a study's work, under its cap."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nowt.cap import Cap, capped
from nowt.config import Placement
from nowt.hands.driver import Driver
from nowt.sheet import read_sheet


@dataclass(frozen=True)
class Ending:
    """Why a study's work ended, where it is not all done."""

    interrupted: bool  # by the user
    capped: bool


@dataclass(frozen=True)
class How:
    """How a study's runs are done: where, on how many slots, by whom, and how much they may take."""

    placement: Placement
    in_process: bool = False
    cap: Cap = field(default_factory=Cap)
    also: tuple[str, ...] = ()  # keys of runs of other studies that the cap counts, too
    since: int | None = None  # from when on it counts, in milliseconds since 1970; None: since the study was begun


def work(driver: Driver, how: How, study: str, slots: int, runs: Iterable[str]) -> Ending:
    """Do what ``driver`` decides, ``slots`` runs at a time; ``runs`` are the keys of the runs so far of the
    ``study`` (its key)."""
    limited = capped(driver, how.cap, Path(how.placement.store), [*runs, *how.also], _since(how, study))
    whole = limited.done or _do(limited, how, study, slots)
    stopped = limited.over and not driver.done
    return Ending(interrupted=not whole and not stopped, capped=stopped)


def _since(how: How, study: str) -> int:
    if how.since is not None or how.cap.most is None:
        return how.since or 0
    created: int = read_sheet(Path(how.placement.store) / "studies" / f"{study}.json")["created"]
    return created


def _do(driver: Driver, how: How, study: str, slots: int) -> bool:
    """False where the user interrupted it."""
    if how.in_process:
        from nowt.hands import in_process

        return in_process.run(driver, how.placement)
    if how.placement.shared:
        from nowt.hands import workers

        return workers.run(driver, how.placement, study, slots)
    from nowt.hands import tune

    return tune.run(driver, how.placement, study, slots)
