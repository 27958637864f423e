"""Warnings about finished runs whose result may mislead: at chance, a loss above its start, layers without a signal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nowt.store.records import NAN, Layer, RunLog, chance_error

CHANCE_FACTOR, CHANCE_POINTS = 1.5, 0.05

SHOWN = 3  # layers that a warning names


@dataclass(frozen=True)
class Outcome:
    """How a finished run ended. Unknown or unmeasured numbers are NaN.

    Args:
        classes: Number of classes; 0 if unknown.
        first_loss: Validation loss before learning.
        last_loss: Validation loss after the last epoch.
        last_error: Validation error after the last epoch, a fraction.
        layers: The layers at the last alignment probe.
    """

    classes: int
    first_loss: float
    last_loss: float
    last_error: float
    layers: Sequence[Layer] = ()

    def warnings(self) -> list[str]:
        """Return one phrase per warning, such as ``ended at chance (validation error 90.1 %)``."""
        found = []
        if self.classes and is_at_chance(self.last_error, self.classes):
            found.append(f"ended at chance (validation error {100 * self.last_error:.1f} %)")
        if self.last_loss > self.first_loss:
            found.append(f"validation loss rose from {self.first_loss:.3g} before learning to {self.last_loss:.3g}")
        if lost := [layer.name for layer in self.layers if _is_lost(layer)]:
            more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
            found.append(f"{len(lost)} of {len(self.layers)} layers without a finite error signal or without feedback")
            found[-1] += f": {', '.join(lost[:SHOWN])}{more}"
        return found


def is_at_chance(error: float, classes: int) -> bool:
    """Return whether an error is about that of guessing.

    The accuracy is then at most 1.5 times that of guessing, and at most 5 percentage points above it. The log does not
    contain the number of images, so this is not a statistical test.
    """
    by_chance = 1 - chance_error(classes)
    return 1 - error <= min(CHANCE_FACTOR * by_chance, by_chance + CHANCE_POINTS)


def run_warnings(run: RunLog) -> list[str]:
    """Return the warnings about a run; none unless it has finished, since a diverged run is named by its state."""
    if run.state != "finished" or run.last_epoch < 1:
        return []
    first, last = run.epochs[0], run.epochs[-1]
    before = first.val_loss if first.epoch == 0 else NAN
    probed = next((epoch.layers for epoch in reversed(run.epochs) if epoch.layers and epoch.epoch), ())
    return Outcome(run.start.get("classes") or 0, before, last.val_loss, last.val_error, probed).warnings()


def _is_lost(layer: Layer) -> bool:
    """Return whether the layer receives no finite error signal, or has a B that is 0 or not finite."""
    return math.isnan(layer.delta_angle) or not layer.norm_ratio > 0
