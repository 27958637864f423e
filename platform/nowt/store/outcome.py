"""How runs ended: warnings about finished runs whose result may mislead, and how many runs have a result."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nowt.core.formatting import counted
from nowt.store.chance import AT_CHANCE, TOO_FEW_IMAGES, Score, score_of
from nowt.store.records import NAN, Layer, RunLog

SHOWN = 3  # layers that a warning names


@dataclass(frozen=True)
class RunWarning:
    """A warning about a finished run.

    Attributes:
        kind: What it is about, the same for all runs, such as ``loss rose``.
        mark: The same in a few words, with this run's numbers, for tables.
        text: A phrase with all numbers.
    """

    kind: str
    mark: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """How a finished run ended. Unmeasured numbers are NaN.

    Args:
        score: The error after the last epoch, on the split that a report shows.
        first_loss: Validation loss before learning.
        last_loss: Validation loss after the last epoch.
        layers: The layers at the last alignment probe.
    """

    score: Score
    first_loss: float
    last_loss: float
    layers: Sequence[Layer] = ()

    def warnings(self) -> Iterator[RunWarning]:
        """Yield the warnings about the run, the gravest first."""
        error, verdict = self.score.to_text(), self.score.verdict
        if verdict == AT_CHANCE:
            yield RunWarning(verdict, verdict, f"ended at chance ({error})")
        if verdict == TOO_FEW_IMAGES:
            images = counted(self.score.images, "image")
            yield RunWarning(verdict, verdict, f"too few images to tell from chance ({error} of {images})")
        if self.last_loss > self.first_loss:
            digits = next(n for n in range(3, 18) if f"{self.first_loss:.{n}g}" != f"{self.last_loss:.{n}g}")
            rise = f"from {self.first_loss:.{digits}g} before learning to {self.last_loss:.{digits}g}"
            yield RunWarning("loss rose", "loss rose", f"validation loss rose {rise}")
        if lost := [layer.name for layer in self.layers if _is_lost(layer)]:
            share = f"{len(lost)} of {counted(len(self.layers), 'layer')}"
            text = f"{share} without a finite error signal or without feedback: {_named(lost)}"
            yield RunWarning("layers without a signal", f"{share} without a signal", text)


def ended_in_words(planned: int, finished: int, diverged: int, note: str = "") -> str:
    """Return how many of the planned runs have a result: ``12 of 15 runs finished, 3 diverged``. ``note`` follows the
    number of diverged runs in brackets."""
    text = f"{finished} of {counted(planned, 'run')} finished"
    return text + (f", {diverged} diverged{f' ({note})' if note else ''}" if diverged else "")


def run_warnings(run: RunLog) -> list[str]:
    """Return the warnings about a run; none unless it has finished, since a diverged run is named by its state."""
    return [warning.text for warning in _outcome(run).warnings()] if _has_outcome(run) else []


def run_marks(run: RunLog) -> list[str]:
    """Return the warnings about a run in a few words each; of a diverged run, that its errors are earlier ones."""
    if run.state == "diverged" and run.epochs:
        earlier = f"error of epoch {run.last_epoch}, before it diverged" if run.last_epoch else "error before training"
        return [earlier]
    return [warning.mark for warning in _outcome(run).warnings()] if _has_outcome(run) else []


def _has_outcome(run: RunLog) -> bool:
    return run.state == "finished" and run.last_epoch >= 1


def _outcome(run: RunLog) -> Outcome:
    first, last = run.epochs[0], run.epochs[-1]
    before = first.val_loss if first.epoch == 0 else NAN
    probed = next((epoch.layers for epoch in reversed(run.epochs) if epoch.layers and epoch.epoch), ())
    return Outcome(score_of(run), before, last.val_loss, probed)


def _named(layers: Sequence[str]) -> str:
    """Return layers by name, in quotation marks, since a name may be a number."""
    more = f" and {len(layers) - SHOWN} more" if len(layers) > SHOWN else ""
    return f"layer{'s' * (len(layers) > 1)} {', '.join(map(repr, layers[:SHOWN]))}{more}"


def _is_lost(layer: Layer) -> bool:
    """Return whether the layer receives no finite error signal, or has a B that is 0 or infinite.

    A rule that sends errors in another way has no B of W's shape, whose norm could be measured. If such a B is NaN, the
    layers below receive no finite error.
    """
    return math.isnan(layer.delta_angle) or layer.norm_ratio in (0.0, math.inf)
