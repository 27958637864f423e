"""Random streams: one generator for each (seed, purpose, name), so that nothing drawn depends on who drew before."""

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Seeds:
    """The seed of each purpose; ``None`` follows the run's own seed, a number pins that purpose alone.

    Pinning one purpose while the run's seed varies splits the variance over seeds by its source.
    """

    weights: int | None = None  # W at the start, by layer name
    feedback: int | None = None  # B at the start, by layer name
    order: int | None = None  # order of the training pictures, by epoch
    crops: int | None = None  # augmentation, by (epoch, picture)
    noise: int | None = None  # mirror mode, by (layer, step)

    def resolve(self, seed: int) -> "Seeds":
        """The same seeds with every ``None`` replaced by ``seed``."""
        return Seeds(**{k: seed if v is None else v for k, v in vars(self).items()})


def seed_of(seed: int | None, purpose: str, *name: object) -> int:
    """A 63-bit seed that is a pure function of (seed, purpose, name)."""
    text = repr((seed, purpose, *name)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def generator(seed: int | None, purpose: str, *name: object) -> torch.Generator:
    """A CPU generator for one purpose and name; the same arguments always give the same stream."""
    return torch.Generator().manual_seed(seed_of(seed, purpose, *name))
