"""Devices, number formats and torch's process-wide settings."""

import torch

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.core.errors import ConfigError
from nowt.core.random_state import seed_all, seed_cpu

# bfloat16 is autocast: W and B stay in float32
PARAMETER_DTYPES = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}


def pick_device(name: str) -> torch.device:
    """Return the device; ``auto``: the GPU if there is one. Raises ConfigError if it is not available."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device is {name!r}, which is not available: use auto or cpu") from error


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the autocast context of a precision; it does nothing unless that is ``bfloat16``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def seed_globals(seed: int, device: torch.device) -> None:
    """Seed the global generators that a run on ``device`` can draw from: those of torch, Python and NumPy."""
    (seed_cpu if device.type == "cpu" else seed_all)(seed)


def reset_globals(config: RunConfig, placement: Placement) -> None:
    """Reset global settings and random states, since a reused process keeps those of the previous run."""
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(placement.threads)
    seed_all(config.seed)
