"""Warnings about finished runs whose result may mislead: at chance, a loss above its start, layers without a signal."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nowt.core.formatting import counted
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
        return [text for _, text in self._found()]

    def marks(self) -> list[str]:
        """Return each warning in a few words, such as ``at chance``, for tables."""
        return [mark for mark, _ in self._found()]

    def _found(self) -> Iterator[tuple[str, str]]:
        if self.classes and is_at_chance(self.last_error, self.classes):
            yield "at chance", f"ended at chance (validation error {100 * self.last_error:.1f} %)"
        if self.last_loss > self.first_loss:
            rise = f"from {self.first_loss:.3g} before learning to {self.last_loss:.3g}"
            yield "loss rose", f"validation loss rose {rise}"
        if lost := [layer.name for layer in self.layers if _is_lost(layer)]:
            share = f"{len(lost)} of {counted(len(self.layers), 'layer')}"
            yield (
                f"{share} without a signal",
                f"{share} without a finite error signal or without feedback: {_named(lost)}",
            )


def is_at_chance(error: float, classes: int) -> bool:
    """Return whether an error is about that of guessing.

    The accuracy is then at most 1.5 times that of guessing, and at most 5 percentage points above it. The log does not
    contain the number of images, so this is not a statistical test.
    """
    by_chance = 1 - chance_error(classes)
    return 1 - error <= min(CHANCE_FACTOR * by_chance, by_chance + CHANCE_POINTS)


def ended_at_chance(run: RunLog) -> bool:
    """Return whether a run diverged, so that it counts with chance error, or its last error is about that of guessing;
    False if its number of classes is unknown."""
    classes = run.start.get("classes") or 0
    return run.state == "diverged" or (bool(classes) and is_at_chance(run.epochs[-1].val_error, classes))


def run_warnings(run: RunLog) -> list[str]:
    """Return the warnings about a run; none unless it has finished, since a diverged run is named by its state."""
    return _outcome(run).warnings() if _has_outcome(run) else []


def run_marks(run: RunLog) -> list[str]:
    """Return the warnings about a run in a few words each; of a diverged run, that its errors are earlier ones."""
    if run.state == "diverged" and run.epochs:
        return [f"error of epoch {run.last_epoch}, before it diverged"]
    return _outcome(run).marks() if _has_outcome(run) else []


def _has_outcome(run: RunLog) -> bool:
    return run.state == "finished" and run.last_epoch >= 1


def _outcome(run: RunLog) -> Outcome:
    first, last = run.epochs[0], run.epochs[-1]
    before = first.val_loss if first.epoch == 0 else NAN
    probed = next((epoch.layers for epoch in reversed(run.epochs) if epoch.layers and epoch.epoch), ())
    return Outcome(run.start.get("classes") or 0, before, last.val_loss, last.val_error, probed)


def _named(layers: Sequence[str]) -> str:
    """Return layers by name, in quotation marks, since a name may be a number."""
    more = f" and {len(layers) - SHOWN} more" if len(layers) > SHOWN else ""
    return f"layer{'s' * (len(layers) > 1)} {', '.join(map(repr, layers[:SHOWN]))}{more}"


def _is_lost(layer: Layer) -> bool:
    """Return whether the layer receives no finite error signal, or has a B that is 0 or not finite."""
    return math.isnan(layer.delta_angle) or not layer.norm_ratio > 0
