"""Prepares a run: checks that it can train, computes its key, and collects the first line of its log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from nowt.config.certificate_key import certificate_name
from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig, config_to_json
from nowt.config.run_key import (
    code_identity,
    imported_packages,
    key_of_fields,
    non_default_fields,
    run_key,
    with_seed_field,
)
from nowt.core.provenance import nowt_checkout, versions_of
from nowt.core.source_hash import package_versions
from nowt.data.datasets import DatasetSplits, RunData
from nowt.execution.scheduler import PlannedRun
from nowt.rules.base import Rule

PACKAGES = ("nowt", "torch", "torchvision", "ray", "optuna", "mlflow", "numpy", "pillow")  # Pillow decodes the images

MOST_CLASS_FOLDERS = 1000  # whose names a log records


def data_facts(data: DatasetSplits) -> dict[str, Any]:
    """Return the facts about the data that the first line of a log records."""
    numbers = {"training": len(data.train), "validation": len(data.val), "test": len(data.test) if data.test else 0}
    facts = {"fingerprint": data.fingerprint, "images": data.images, "classes": data.classes, **numbers}
    folders = list(data.class_folders) if len(data.class_folders) <= MOST_CLASS_FOLDERS else []
    named = {"class_folders": folders, "copies": data.duplicates}
    return {**facts, "skipped": list(data.skipped), **{name: value for name, value in named.items() if value}}


@dataclass
class DataFacts:
    """The facts of data sets; each is opened once."""

    placement: Placement
    known: dict[RunData, dict[str, Any]] = field(default_factory=dict)

    def add(self, config: RunConfig, facts: dict[str, Any]) -> None:
        """Add what is known of a run's data; facts about its model are left out."""
        self.known[RunData.of(config)] = {name: value for name, value in facts.items() if name != "not_replaced"}

    def of(self, config: RunConfig) -> dict[str, Any]:
        """Return the ``data_facts`` of a run. Raises DataError if its data cannot be read."""
        data = RunData.of(config)
        if data not in self.known:
            self.known[data] = data_facts(data.open(self.placement))
        return self.known[data]


def start_facts(config: RunConfig, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the content of the first line of a run's log; ``facts`` describe its data."""
    return {
        "config": config_to_json(config),
        **({"rule_name": config.rule.name} if config.rule.source else {}),  # the config names its file
        **facts,
        "certificate": certificate_name(config.rule),
        "code": code_identity(config),
        "versions": {**versions(), **package_versions(imported_packages(config))},
        "git": nowt_checkout(),
    }


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect the numbers."""
    return versions_of(PACKAGES)


def plan_run(cell: str, config: RunConfig, facts: dict[str, Any]) -> PlannedRun:
    """Return the run with its key, which depends on the config and on the data's fingerprint in ``facts``."""
    key = run_key(config, facts["fingerprint"])
    return PlannedRun(key, cell, config.seed, config, start_facts(config, facts))


def plan_seeds(
    cell: str, config: RunConfig, seeds: Sequence[int], facts_of: Callable[[RunConfig], dict[str, Any]]
) -> list[PlannedRun]:
    """Return the runs of a cell as ``plan_run`` does. What does not depend on the seed is computed once, since a study
    may have thousands of runs. ``facts_of`` returns the facts about the data of a run."""
    first = config.with_seed(seeds[0])
    known, start = non_default_fields(first), start_facts(first, facts_of(first))
    planned = []
    for seed in seeds:
        seeded = config.with_seed(seed)
        facts = facts_of(seeded)
        key = key_of_fields(with_seed_field(known, seed), facts["fingerprint"])
        line = {**start, **facts, "config": {**start["config"], "seed": seed}}
        planned.append(PlannedRun(key, cell, seed, seeded, line))
    return planned


def inspect_data(config: RunConfig, placement: Placement, rules: Sequence[Rule] = ()) -> dict[str, Any]:
    """Open the data of a run, check that the run can train on it, and return the facts that its log records.

    ``rules`` are those of other runs that differ from this one in nothing that decides whether it can train. Raises
    ConfigError if the device does not exist, or if the config does not fit the data, the model or the number of
    workers, or if one of the rules does not work on the model; DataError if the data cannot be read.
    """
    from nowt.models.registry import build_model
    from nowt.training.device import pick_device
    from nowt.training.feasibility import check_feasible, check_network, worker_counts

    needs_gpu = placement.device != "cpu"
    if not placement.is_distributed:  # several workers use the devices of their own nodes
        needs_gpu = pick_device(placement.device).type != "cpu"
    worker_counts(config, placement.workers)  # before the data is opened, which may take minutes
    data = RunData.of(config).open(placement)
    model = build_model(config.model, data.shape, data.classes, seed=0)
    check_feasible(config, placement, data, model)
    uncovered = check_network(config, data, [config.rule, *rules], needs_gpu)
    return {**data_facts(data), "not_replaced": uncovered}


def distinct_rules(configs: Sequence[RunConfig]) -> list[Rule]:
    """Return the rules of these runs, each with its settings once."""
    return list({(type(config.rule), repr(config.rule)): config.rule for config in configs}.values())
