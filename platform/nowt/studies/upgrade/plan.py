"""Decides which runs of a store get today's keys: those whose content is shown to be equal."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig, config_to_json
from nowt.config.run_key import LOOP_NUMERICS, code_identity, run_key
from nowt.config.stored_config import stored_config
from nowt.core.formatting import counted
from nowt.core.plugins import file_label, is_file_spec, split_spec
from nowt.data.datasets import BUILTIN, RunData
from nowt.data.earlier import DataIdentity, identify
from nowt.store.layout import Store
from nowt.store.records import RunLog
from nowt.store.run_log import read
from nowt.studies.upgrade.custom_code import model_reasons, rule_reasons
from nowt.studies.upgrade.earlier_key import EARLIER_LOOP, earlier_run_keys

LARGEST = 1e6  # loss or ratio of norms above which a network may have had gradients that are not finite

ERRORS = (ValueError, RuntimeError, OSError)  # of reading a config and images, and of building a custom model


@dataclass(frozen=True)
class UpgradedRun:
    """A run that gets today's key."""

    earlier: str  # its key so far
    key: str
    start: dict[str, Any]  # what its first line says from now on, in addition to what it says already


@dataclass(frozen=True)
class KeptRun:
    """A run that keeps its earlier key, and the reason."""

    key: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What an upgrade does with the runs of a store."""

    upgraded: tuple[UpgradedRun, ...]
    kept: tuple[KeptRun, ...]
    current: int  # runs that have today's keys already


class CannotUpgrade(Exception):
    """The reason why a run is not upgraded, in one sentence."""


def plan_upgrade(store: Path, placement: Placement) -> Plan:
    """Examine every log of a store. Nothing is written, except to the table of image digests.

    Raises ValueError for a file that is not a log.
    """
    data = _Data(placement)
    upgraded: dict[str, UpgradedRun] = {}
    kept, current = [], 0
    for path in Store(store).log_files():
        run = read(path)
        if run.start.get("code", {}).get("loop") == LOOP_NUMERICS:
            current += 1
            continue
        try:
            found = _examined(store, run, data)
            if found.key in upgraded:
                raise CannotUpgrade(f"it has the same content as run {upgraded[found.key].earlier}")
            upgraded[found.key] = found
        except CannotUpgrade as reason:
            kept.append(KeptRun(run.key, str(reason)))
    return Plan(tuple(upgraded.values()), tuple(kept), current)


@dataclass
class _Data:
    """The identities of the data sets in the given folder, each determined once."""

    placement: Placement
    known: dict[RunData, DataIdentity] = field(default_factory=dict)

    def identity(self, data: RunData) -> DataIdentity:
        if data.config.name not in BUILTIN and not self.placement.data:
            raise CannotUpgrade(f"its images are not available: give --data-dir, the folder of {data.config.name}")
        if data not in self.known:
            self.known[data] = identify(data.config, self.placement, data.split_seed)
        return self.known[data]


def _examined(store: Path, run: RunLog, data: _Data) -> UpgradedRun:
    """Return the run with today's key. Raises CannotUpgrade with the reason if its content may not be equal."""
    if "config" not in run.start:
        raise CannotUpgrade("its log has no complete first line")
    try:
        config = stored_config(run.start["config"], f"run {run.key}")
        identity = data.identity(RunData.of(config))
        _check_images(run, identity, "" if config.data.name in BUILTIN else data.placement.data)
        _check_key(config, run)
        reasons = [*rule_reasons(config.rule), *model_reasons(config, run, identity), *_other_angles(run)]
    except ERRORS as error:
        raise CannotUpgrade(str(error).partition("\n")[0]) from error
    if reasons:
        raise CannotUpgrade("; ".join(reasons))
    key = run_key(config, identity.fingerprint)
    if (log := Store(store).log(key)).exists():
        upgraded = run.key in read(log).earlier_keys  # and merged again from another store
        raise CannotUpgrade(f"run {key} has its content already" if upgraded else f"it was trained again as run {key}")
    return UpgradedRun(run.key, key, _start(config, run, identity))


def _start(config: RunConfig, run: RunLog, identity: DataIdentity) -> dict[str, Any]:
    before = {"key": run.key, "fingerprint": run.start["fingerprint"], "loop": EARLIER_LOOP}
    images = {"fingerprint": identity.fingerprint, "images": identity.images}
    facts = {"config": config_to_json(config), **images, "code": code_identity(config)}
    return {**facts, "earlier": [*run.start.get("earlier", []), before]}


def _check_images(run: RunLog, identity: DataIdentity, folder: str) -> None:
    """Raise CannotUpgrade unless the images in the folder are those of the run."""
    if run.start["fingerprint"] != identity.earlier:
        raise CannotUpgrade(f"the images in {folder or 'this version of nowt'} are not those of the run")
    if identity.newest >= run.start["time"]:
        raise CannotUpgrade(
            f"{identity.newest_name} was written after the run began (if {folder} is a copy, copy it again with the "
            "times of its files: cp -a, rsync -a)"
        )
    if identity.other_pixels:
        others = len(identity.other_pixels)
        raise CannotUpgrade(
            f"{counted(others, 'image')} with more than 8 bits, such as {identity.other_pixels[0]}, had other "
            "pixels in the earlier version"
        )


def _check_key(config: RunConfig, run: RunLog) -> None:
    """Raise CannotUpgrade unless the settings and custom files of the run give the key that it has."""
    if run.key in earlier_run_keys(config, run.start["fingerprint"]):
        return
    files = [file_label(name) for name in (config.rule.source, config.model.name) if is_file_spec(name)]
    if files:
        raise CannotUpgrade(f"{' or '.join(split_spec(name)[0] for name in files)} has changed since the run")
    raise CannotUpgrade("its key does not follow from its settings: another version of nowt wrote it")


def _other_angles(run: RunLog) -> Iterator[str]:
    """Yield why δ angles that are undefined now may have been measured: without the images whose δ was not finite, or
    on fewer than half of the images, in a network that lost its error signals."""
    if not any(epoch.layers for epoch in run.epochs):
        return
    if run.state == "diverged":
        yield "it diverged, and earlier versions left images without a finite δ out of its δ angles"
    elif not all(_is_moderate(epoch.val_loss, [layer.norm_ratio for layer in epoch.layers]) for epoch in run.epochs):
        yield "its network exploded, and earlier versions left images without a finite δ out of its δ angles"
    elif _lost_signals(run):
        yield "layers of its network lost their error signal, and earlier versions measured δ angles on few images, too"


def _lost_signals(run: RunLog) -> bool:
    """Return whether a layer has a δ angle after some epochs of learning and none after others."""
    defined: dict[str, set[bool]] = {}
    for epoch in run.epochs:
        for layer in epoch.layers if epoch.epoch else ():
            defined.setdefault(layer.name, set()).add(math.isfinite(layer.delta_angle))
    return any(len(states) > 1 for states in defined.values())


def _is_moderate(loss: float, ratios: Sequence[float]) -> bool:
    return all(abs(value) <= LARGEST for value in (loss, *ratios))  # false for NaN
