"""What a run's log says of where it comes from: config, data, versions, commit."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from nowt.config.placement import Keep, Placement
from nowt.config.run_config import RunConfig, config_to_json
from nowt.config.run_key import certificate_name, run_key
from nowt.core.provenance import git, versions_of
from nowt.data.datasets import DatasetSplits
from nowt.execution.driver import PlannedRun
from nowt.rules.base import Rule
from nowt.store.layout import Store
from nowt.store.run_log import read
from nowt.store.sync.checkpoint_bucket import CheckpointBucket
from nowt.training import checkpoint
from nowt.training.feasibility import check_enough_images
from nowt.training.retention import kept_epochs

PACKAGES = ("nowt", "torch", "torchvision", "ray", "optuna", "mlflow", "numpy")


def picture_facts(data: DatasetSplits) -> dict[str, Any]:
    """What the start line says of the pictures."""
    facts = {"fingerprint": data.fingerprint, "classes": data.classes, "training": len(data.train)}
    return {**facts, "skipped": list(data.skipped)}


def start_facts(config: RunConfig, pictures: dict[str, Any]) -> dict[str, Any]:
    """The start line of a run's log; ``pictures`` are their facts."""
    return {
        "config": config_to_json(config),
        **pictures,
        "certificate": certificate_name(config.rule),
        "versions": versions(),
        "git": git(),
    }


@cache
def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide numbers."""
    return versions_of(PACKAGES)


def plan_run(cell: str, config: RunConfig, pictures: dict[str, Any]) -> PlannedRun:
    """A run under its key, which the facts of its pictures decide, too."""
    key = run_key(config, pictures["fingerprint"])
    return PlannedRun(key, cell, config.seed, config, start_facts(config, pictures))


def pictures_of(config: RunConfig, placement: Placement) -> dict[str, Any]:
    """The facts of the run's pictures, once its device and model are known to exist, too."""
    from nowt.data.datasets import open_data
    from nowt.layers.attach import uncovered_weights
    from nowt.models.registry import build_model
    from nowt.training.feasibility import refuse_whole_norm, sizes
    from nowt.training.state import pick_device

    if not placement.shared:  # several workers have the devices of wherever they are
        pick_device(placement.device)
    most = sizes(config, placement.workers)[-1]
    data = open_data(config.data, placement, config.test)
    check_enough_images(config, len(data.train))
    model = build_model(config.model, data.shape, data.classes, seed=0)
    refuse_whole_norm(config, model, most)
    return {**picture_facts(data), "not_replaced": uncovered_weights(model)}


def remarks(plan: tuple[PlannedRun, ...]) -> list[str]:
    """A line for each data set of which on_bad="skip" leaves pictures out, with the first of their names, and one for
    each model with weights that no rule covers."""
    from nowt.layers.attach import describe_uncovered

    skipped = dict.fromkeys(tuple(planned.start["skipped"]) for planned in plan if planned.start["skipped"])
    ruled = [planned for planned in plan if planned.config.rule.name != "bp" and planned.start["not_replaced"]]
    others = dict.fromkeys((p.config.model.name, tuple(p.start["not_replaced"])) for p in ruled)
    lines = [f"{len(lines)} picture{'s' * (len(lines) > 1)} left out: {_first(lines)}" for lines in skipped]
    return lines + [f"{model}: {describe_uncovered(names)}" for model, names in others]


def _first(lines: tuple[str, ...], most: int = 3) -> str:
    return ", ".join(line.partition(": ")[0] for line in lines[:most]) + (", ..." if len(lines) > most else "")


def certificates(store: Path, rules: Sequence[Rule], say: Callable[[str], None]) -> None:
    """Certify each of the built-in ones among ``rules`` once a store, so that a run's record can carry its certificate.

    A rule of one's own may take any time, or fail: ``nowt certify FILE.py`` certifies it when its author says so.
    """
    from nowt.evaluation.certify.run import certificate_path, certify_into
    from nowt.rules.registry import builtin_rules

    for rule in dict.fromkeys(rule for rule in rules if type(rule) in builtin_rules()):
        path = certificate_path(store, rule)
        if not path.exists() and not certify_into(store, rule).passed:
            say(f"{rule.name} does not keep all its promises: {path}")


def gone(store: Path, keys: Iterable[str], keep: Keep | None, bucket: str = "") -> str:
    """One line where runs have passed epochs whose checkpoints are to be kept, and were not, neither in the store nor
    in the bucket at this URL; else nothing. Raises OSError where the bucket cannot be used."""
    if keep is None or keep == "last":
        return ""
    missed = [epochs for key in keys if (epochs := _missed(store, key, keep, bucket))]
    if not missed:
        return ""
    runs = f"{len(missed)} run{'s have' if len(missed) > 1 else ' has'} passed"
    epochs = sorted({epoch for each in missed for epoch in each})
    named = ", ".join(map(str, epochs[:5])) + (", ..." if len(epochs) > 5 else "")
    return (
        f"{runs} epochs whose checkpoints are to be kept now ({named}) without keeping them: those cannot be brought "
        "back; later epochs are kept, and so are all of new runs"
    )


def _missed(store: Path, key: str, keep: Keep, bucket: str) -> list[int]:
    path = Store(store).log(key)
    if not path.exists():
        return []
    run = read(path)
    last = run.last_epoch if run.state == "finished" else None
    there = set(checkpoint.kept_checkpoints(Store(store).checkpoints(key), last))
    missed = [epoch for epoch in kept_epochs(keep, run.last_epoch) if epoch not in there]
    copied = CheckpointBucket.of(bucket, key).epochs() if missed and bucket else set()
    return [epoch for epoch in missed if epoch not in copied]
