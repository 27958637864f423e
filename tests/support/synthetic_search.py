"""A search that nobody ran: a real study file and real logs, made-up numbers."""

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from nowt.config.run_config import RunConfig, config_to_json
from nowt.config.run_key import run_key
from nowt.rules.registry import find_rule
from nowt.store.records import Epoch
from nowt.store.run_log import LogWriter
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Choice, Param, Range, When
from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace, space_to_json
from tests.support.synthetic_store import CLASSES, NAN

EPOCHS = 3

SHARED: tuple[Param, ...] = (
    Range("optim.lr", 0.005, 0.5, log=True),
    Range("optim.weight_decay", 1e-4, 5e-2, log=True),
    Choice("optim.schedule", ("cosine", "step")),
    Choice("optim.milestones", ((1.0, 2.0), (2.0,)), when=When("optim.schedule", "step")),
)

OWN: dict[str, tuple[Param, ...]] = {
    "wm": (
        Range("rule.decay", 0.01, 0.5, log=True),
        Range("rule.eta", 0.3, 3.0, log=True, times="rule.decay"),
        Range("rule.samples", 4, 64, log=True, integer=True),
    ),
}

Error = Callable[[str, int, Mapping[str, Any]], float]


def search_space(
    names: Sequence[str] = ("bp", "wm"),
    params: Sequence[Param] = SHARED,
    sampler: Literal["tpe", "quasi_random", "random", "grid"] = "quasi_random",
    stopping: Literal["none", "halving", "median"] = "none",
) -> SearchSpace:
    """One cell a rule, each with the shared settings and its own."""
    cells = [
        SearchCell(name, RunConfig(rule=find_rule(name)(), epochs=EPOCHS, test=False), (*params, *OWN.get(name, ())))
        for name in names
    ]
    how = {"sampler": sampler, "stopping": EarlyStopping(stopping)}
    return SearchSpace("tuned", "How much tuning does each rule need?", tuple(cells), Budget(12), **how)  # type: ignore[arg-type]


def bowl(cell: str, trial: int, values: Mapping[str, Any]) -> float:
    """An error that depends on the learning rate alone."""
    return 0.05 + 0.3 * math.log10(values["optim.lr"] / 0.1) ** 2


def write_search(
    store: Path,
    space: SearchSpace | None = None,
    trials: int = 12,
    *,
    states: Mapping[tuple[str, int], str] | None = None,
    error: Error = bowl,
    created: int = 1,
    images: int | None = None,
) -> SearchSpace:
    """Write a search's study file and its trials' logs; returns the space.

    ``states`` gives how a trial by (cell, number) ended where it did not finish: diverged, stopped, failed, running
    (each after one epoch) or not started. ``error(cell, trial, values)`` is the validation error after the last epoch.
    ``images`` is the number of validation images; None as in logs of earlier versions, which do not have it.
    """
    space = space or search_space()
    listed = []
    for cell in space.cells:
        for trial in range(trials):
            values = drawn(cell, trial)
            config = replace(cell.config_of(values), seed=space.run_seed)
            key = run_key(config, "made-up")
            listed.append({"key": key, "cell": cell.name, "seed": space.run_seed, "trial": trial})
            state = (states or {}).get((cell.name, trial), "finished")
            if state != "not started":
                _write_log(LogWriter.open(store, key), config, state, error(cell.name, trial, values), images)
    path = store / "studies" / f"{space.key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**space_to_json(space), "key": space.key, "created": created, "runs": listed}))
    return space


def drawn(cell: SearchCell, trial: int) -> dict[str, Any]:
    """What the trial's settings are, by name; cells share the draws of what they share."""
    values: dict[str, Any] = {}
    for param in cell.params:
        if cell.is_active(param, values):
            unit = random.Random(f"{param.name} {trial}").random()
            values[param.name] = _at(param, unit)
    return values


def _at(param: Param, unit: float) -> Any:
    if isinstance(param, Choice):
        return param.values[int(unit * len(param.values))]
    value = param.low * (param.high / param.low) ** unit if param.log else param.low + (param.high - param.low) * unit
    return int(value) if param.integer else value


def _write_log(writer: LogWriter, config: RunConfig, state: str, error: float, images: int | None) -> None:
    facts = {"fingerprint": "made-up", "classes": CLASSES, **({} if images is None else {"validation": images})}
    writer.start(writer.path.stem, config=config_to_json(config), **facts)
    for epoch in range(EPOCHS + 1 if state == "finished" else 2):
        writer.epoch(_epoch(config, epoch, error))
    if state != "running":
        reason = "Traceback (most recent call last):\n  ...\nOSError: the disk is full\n" if state == "failed" else ""
        writer.end(state, reason)


def _epoch(config: RunConfig, epoch: int, error: float) -> Epoch:
    mirror = 10 * epoch if config.rule.name == "wm" else 0
    val = error if epoch else 1 - 1 / CLASSES
    costs = {"presentations": 100 * epoch, "mirror_presentations": mirror, "flops": 1e9 * epoch, "seconds": 6.0 * epoch}
    losses = {"train_loss": NAN, "train_error": NAN, "val_loss": 1.0, "test_loss": NAN, "test_error": NAN}
    return Epoch(epoch=epoch, step=epoch, lr=0.1, val_error=val, probe_seconds=0.0, **losses, **costs)  # type: ignore[arg-type]
