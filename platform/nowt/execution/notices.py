"""Warnings printed before a study starts: skipped images, uncovered weights, missing checkpoints."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nowt.config.placement import Keep
from nowt.core.formatting import counted
from nowt.execution.scheduler import PlannedRun
from nowt.store.layout import Store
from nowt.store.records import RunLog
from nowt.store.run_log import read
from nowt.store.sync.checkpoint_bucket import CheckpointBucket
from nowt.training import checkpoint
from nowt.training.retention import kept_epochs


def data_notices(facts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each data set from which ``on_bad="skip"`` leaves out images, and one for each that has copies
    of images; ``facts`` are those of runs."""
    lines = []
    for fact in facts:
        if files := fact["skipped"]:
            lines.append(f"{counted(len(files), 'image')} left out: {_first(files)}")
        lines += [copies] if (copies := fact.get("copies")) else []
    return list(dict.fromkeys(lines))


def plan_notices(plan: Sequence[PlannedRun]) -> list[str]:
    """Return the lines about the data sets, and one for each model with weights to which no rule applies."""
    from nowt.layers.coverage import describe_uncovered

    lines = data_notices(planned.start for planned in plan)
    ruled = [planned for planned in plan if planned.config.rule.name != "bp" and planned.start["not_replaced"]]
    others = dict.fromkeys((p.config.model.name, tuple(p.start["not_replaced"])) for p in ruled)
    return lines + [f"{model}: {describe_uncovered(names)}" for model, names in others]


def _first(lines: Sequence[str], limit: int = 3) -> str:
    return ", ".join(line.partition(": ")[0] for line in lines[:limit]) + (", ..." if len(lines) > limit else "")


@dataclass
class ChangesReporter:
    """Prints a line when a run resumes with other versions, another commit or other facts than it started with."""

    echo: Callable[[str], None]
    begun: bool = False  # False while earlier results are replayed
    reported: set[tuple[str, int]] = field(default_factory=set)  # run key and attempt

    def update(self, run: RunLog) -> None:
        """Print the changes of the run's latest attempt, unless they were reported or are replayed."""
        attempt = (run.key, run.attempts)
        if run.spans and run.spans[-1].changed and attempt not in self.reported:
            self.reported.add(attempt)
            if self.begun:
                self.echo(f"run {run.key}, {run.changes[-1]}")


def missing_checkpoints_notice(store: Path, keys: Iterable[str], keep: Keep | None, bucket: str = "") -> str:
    """Return a line if runs have trained past epochs that ``keep`` names without keeping their checkpoints, neither in
    the store nor in the bucket at this URL; otherwise an empty string. Raises OSError if the bucket is not accessible.
    """
    if keep is None or keep == "last":
        return ""
    missing = [epochs for key in keys if (epochs := _missing_epochs(store, key, keep, bucket))]
    if not missing:
        return ""
    runs = f"{counted(len(missing), 'run')} {'has' if len(missing) == 1 else 'have'}"
    epochs = sorted({epoch for each in missing for epoch in each})
    named = ", ".join(map(str, epochs[:5])) + (", ..." if len(epochs) > 5 else "")
    return (
        f"{runs} already trained past epochs ({named}) whose checkpoints you now want to keep; these checkpoints no "
        "longer exist. Checkpoints of later epochs and of new runs are kept"
    )


def _missing_epochs(store: Path, key: str, keep: Keep, bucket: str) -> list[int]:
    path = Store(store).log(key)
    if not path.exists():
        return []
    run = read(path)
    last = run.last_epoch if run.state == "finished" else None
    present = set(checkpoint.kept_checkpoints(Store(store).checkpoints(key), last))
    missing = [epoch for epoch in kept_epochs(keep, run.last_epoch) if epoch not in present]
    copied = CheckpointBucket.from_url(bucket, key).epochs() if missing and bucket else set()
    return [epoch for epoch in missing if epoch not in copied]
