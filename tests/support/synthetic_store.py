"""A store with synthetic runs: real logs and a real study file with plausible numbers."""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nowt.config.run_config import RunConfig, config_to_json
from nowt.config.run_key import run_key
from nowt.rules.registry import find_rule
from nowt.store.correct_images import pack_correct
from nowt.store.records import Epoch, Layer
from nowt.store.run_log import LogWriter
from nowt.studies.study import Cell, Study, study_to_json

CLASSES = 10

CHANCE = 1 - 1 / CLASSES

NAN = float("nan")


@dataclass(frozen=True)
class Curve:
    """The final error of a rule, and its initial and final matrix angle."""

    error: float
    first_angle: float
    last_angle: float


CURVES = {
    "bp": Curve(0.060, NAN, NAN),
    "fa": Curve(0.210, 90.0, 82.0),
    "ss": Curve(0.082, 46.0, 44.0),
    "wm": Curve(0.066, 9.0, 5.0),
    "kp": Curve(0.063, 90.0, 2.0),
}


def rules_study(name: str = "rules", names: Sequence[str] = tuple(CURVES), seeds: int = 3, epochs: int = 10) -> Study:
    """A study with one cell per rule."""
    cells = tuple(Cell(rule, RunConfig(rule=find_rule(rule)(), epochs=epochs)) for rule in names)
    return Study(name, "How well does each rule learn?", cells, tuple(range(seeds)))


def odd_study() -> Study:
    """A study of three rules, with a cell name that would break unescaped HTML."""
    cells = {"bp": "bp", "fa": "fa", "kp": "kp", "kp </script><b>bold": "kp"}
    configs = [RunConfig(rule=find_rule(rule)(), epochs=3, batch=10 + i) for i, rule in enumerate(cells.values())]
    question = 'Is <script>alert(1)</script> & "this" only text?'
    return Study("odd", question, tuple(map(Cell, cells, configs)), (0, 1, 2))


def key_of(study: Study, cell: str, seed: int) -> str:
    """The key under which ``write_store`` logs a run."""
    return run_key(replace(next(c.config for c in study.cells if c.name == cell), seed=seed), "made-up")


def write_store(
    store: Path,
    study: Study | None = None,
    *,
    diverged: dict[tuple[str, int], int] | None = None,
    stopped: dict[tuple[str, int], int] | None = None,
    missing: Sequence[tuple[str, int]] = (),
    layers: int = 8,
    test: bool = True,
    error: Callable[[str, int, int], float] | None = None,
    correct: Callable[[str, int], NDArray[np.bool_]] | None = None,
    created: int = 1,
    images: dict[str, int] | None = None,
) -> Study:
    """Write a study (by default of the five rules) and the logs of its runs; returns the study.

    ``diverged`` and ``stopped`` give the last epoch logged by (cell, seed); ``missing`` runs have no log.
    ``error(cell, seed, epoch)`` gives the test error in place of the made-up one. ``correct(cell, seed)`` tells
    which test images are classified correctly after the last epoch, and so the test error there. ``images`` are the
    numbers of validation and test images; None as in logs of earlier versions, which do not have them.
    """
    study = study or rules_study()
    diverged, stopped = diverged or {}, stopped or {}
    listed = []
    for cell, seed, config in study.runs():
        key = run_key(config, "made-up")
        listed.append({"key": key, "cell": cell.name, "seed": seed})
        run = (cell.name, seed)
        if run in missing:
            continue
        writer = LogWriter.open(store, key)
        origin = {"versions": {"nowt": "0"}, "git": {"commit": "made-up", "dirty": False}}
        data = {"fingerprint": "made-up", "classes": CLASSES, **(images or {})}
        writer.start(key, config=config_to_json(config), **data, **origin)
        last = diverged.get(run, stopped.get(run, config.epochs))
        for epoch in range(last + 1):
            scored = test and (config.test != "last" or epoch == config.epochs)
            record = _epoch(config, cell.name, epoch, layers, scored, error)
            if correct and epoch == config.epochs:
                record = _with_images(record, correct(*run))
            writer.epoch(record)
        if run in diverged:
            writer.end("diverged", f"the loss was not finite in epoch {last + 1}")
        elif run not in stopped:
            writer.end("finished")
    _write_study(store, study, listed, created)
    return study


def _with_images(epoch: Epoch, correct: NDArray[np.bool_]) -> Epoch:
    error = 1 - float(correct.mean())
    return replace(epoch, test_error=error, test_correct=pack_correct(correct), test_images=len(correct))


def _write_study(store: Path, study: Study, runs: list[dict[str, object]], created: int) -> None:
    path = store / "studies" / f"{study.key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {**study_to_json(study), "key": study.key, "created": created, "runs": runs}
    path.write_text(json.dumps(data), encoding="utf-8")


def _epoch(
    config: RunConfig,
    cell: str,
    epoch: int,
    layers: int,
    test: bool,
    error: Callable[[str, int, int], float] | None,
) -> Epoch:
    curve = CURVES.get(config.rule.name, Curve(0.1, 60.0, 30.0))
    chance = random.Random(f"{cell} {config.seed} {epoch}")
    luck = random.Random(f"{cell} {config.seed}").gauss(0, 0.006) + chance.gauss(0, 0.003)
    share = curve.error + luck * (epoch > 0) + (CHANCE - curve.error) * math.exp(-0.75 * epoch)
    share = error(cell, config.seed, epoch) if error else share
    val = share + chance.gauss(0, 0.004)
    started = epoch > 0
    return Epoch(
        epoch=epoch,
        step=100 * epoch,
        lr=0.05,
        train_loss=3 * share if started else NAN,
        train_error=0.8 * share if started else NAN,
        val_loss=3 * val,
        val_error=val,
        test_loss=3 * share if test else NAN,
        test_error=share if test else NAN,
        presentations=6400 * epoch,
        mirror_presentations=640 * epoch if config.rule.name == "wm" else 0,
        flops=1e9 * epoch,
        seconds=1.5 * epoch,
        probe_seconds=0.01 * (epoch + 1),
        layers=tuple(_layer(curve, epoch, depth, layers, chance) for depth in range(layers) if curve.first_angle > 0),
    )


def _layer(curve: Curve, epoch: int, depth: int, layers: int, chance: random.Random) -> Layer:
    place = depth / max(layers - 1, 1)
    reached = 1 - math.exp(-0.6 * epoch * (0.6 + 0.8 * place))
    angle = curve.first_angle + (curve.last_angle - curve.first_angle) * reached + chance.gauss(0, 0.3)
    kept = max(math.cos(math.radians(angle)), 0.0) ** (
        (layers - 1 - depth) / 2
    )  # one factor a layer that the error crosses
    delta = 0.0 if depth == layers - 1 else math.degrees(math.acos(kept))
    return Layer(f"layer{depth}", depth, abs(angle), delta, 1.0 - 0.02 * epoch)
