"""Executes a study's runs in this process, on Ray Tune, or on groups of Ray Train workers."""

from dataclasses import dataclass, field

from nowt.config.placement import Placement
from nowt.execution.scheduler import Scheduler
from nowt.execution.spending_cap import SpendingCap


@dataclass(frozen=True)
class ExecutionOptions:
    """Execution options for a study: placement, local or Ray execution, and an optional spending cap.

    Attributes:
        placement: Where runs execute, and where their files are.
        in_process: Execute runs one after the other in this process, without Ray.
        cap: How much the study may spend. By default it is unlimited.
        counted_runs: Keys of runs of other studies that count towards the cap.
        counted_since: Spending counts from this time on, in milliseconds since 1970. By default it counts from the
            first start of the study.
        redo: Whether to repeat finished runs that no longer count, even if that takes more than a minute.
        chosen: Paths of the settings that the command line names; ``*`` stands for all.
    """

    placement: Placement
    in_process: bool = False
    cap: SpendingCap = field(default_factory=SpendingCap)
    counted_runs: tuple[str, ...] = ()
    counted_since: int | None = None
    redo: bool = False
    chosen: tuple[str, ...] = ()


def execute(scheduler: Scheduler, options: ExecutionOptions, study: str, slots: int) -> bool:
    """Execute what ``scheduler`` decides, ``slots`` runs at a time. Return False if the user interrupted it."""
    if options.in_process:
        from nowt.execution import local

        return local.run(scheduler, options.placement)
    if options.placement.is_distributed:
        from nowt.execution.ray_train import runner

        return runner.run(scheduler, options.placement, study, slots)
    from nowt.execution import ray_tune

    return ray_tune.run(scheduler, options.placement, study, slots)
