"""Checks of what a custom loop passes to ``Feedback.step``."""

import math
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from nowt.core.errors import ConfigError, require
from nowt.core.fields import check_type
from nowt.layers.step_reminder import parameters_of


def checked_optimizers(given: Any) -> list[Optimizer]:
    """Return the optimizers as a list. Raises ConfigError for anything else, and if two hold the same parameter."""
    found = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    valid = all(isinstance(one, Optimizer) for one in found)
    require(valid, f"optimizer is {given!r}: it must be a torch.optim.Optimizer, or a list of them")
    holder: dict[int, int] = {}
    for place, one in enumerate(found):
        for parameter in parameters_of(one):
            first = holder.setdefault(id(parameter), place)
            require(
                first == place,
                f"optimizers {first} and {place} of the list hold the same parameter, of shape "
                f"{tuple(parameter.shape)}, and one step would update it twice: give each parameter to one optimizer",
            )
    return found


def check_scaler(scaler: Any) -> None:
    """Raise ConfigError unless the scaler is None or has the methods of a GradScaler."""
    if scaler is not None and not (hasattr(scaler, "unscale_") and hasattr(scaler, "step")):
        advice = f": to clip gradients, pass clip={scaler!r}" if isinstance(scaler, int | float) else ""
        raise ConfigError(f"scaler is {scaler!r}, but must be a torch.amp.GradScaler or None{advice}")


def checked_clip(clip: Any) -> float | None:
    """Return the largest norm of the gradient. Raises ConfigError unless it is None, or finite and above 0."""
    norm: float | None = check_type(float | None, clip, "clip", strict=True)
    if norm is None or (norm > 0 and math.isfinite(norm)):
        return norm
    raise ConfigError(f"clip is {clip}: it must be a finite number above 0, or None for no clipping")


def unscale(scaler: Any, optimizer: Optimizer) -> None:
    """Divide the gradients by the loss scale, unless the caller has done so. Raises ConfigError if the loss was not
    scaled."""
    try:
        scaler.unscale_(optimizer)
    except AssertionError:
        raise ConfigError(
            "the loss was not scaled: call scaler.scale(loss).backward(), or leave out the scaler"
        ) from None
    except RuntimeError as error:
        if "already been called" not in str(error):
            raise
