"""Random streams: one generator per (seed, purpose, name), so that no draw depends on earlier draws elsewhere."""

import hashlib
from dataclasses import dataclass

import torch

from nowt.core.fields import check_fields, make_plain, plain


@dataclass(frozen=True)
class Seeds:
    """The seed of each purpose. ``None`` uses the seed of the run; a number fixes that purpose.

    The choice of training and validation images is fixed, or follows the run's seed (``DataConfig.split``).
    Fixing one purpose while the run's seed varies splits the variance over seeds by source.

    Args:
        weights: Seed of the initialization of W, by layer name. Default None.
        feedback: Seed of the initialization of B, by layer name. Default None.
        order: Seed of the order of the training images, by epoch. Default None.
        crops: Seed of the augmentation, by epoch and image. Default None.
        noise: Seed of the mirror mode, by layer and step. Default None.

    Example:
        Three runs that differ in their images' order, crops and noise, but start from the same weights:

        >>> from dataclasses import replace
        >>> from nowt import Seeds, recipes
        >>> config = replace(recipes.digits(), seeds=Seeds(weights=0, feedback=0))
        >>> runs = [replace(config, seed=seed) for seed in range(3)]
        >>> runs[2].seeds.resolve(runs[2].seed)
        Seeds(weights=0, feedback=0, order=2, crops=2, noise=2)
    """

    weights: int | None = None
    feedback: int | None = None
    order: int | None = None
    crops: int | None = None
    noise: int | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        check_fields(self, "seeds.")

    def resolve(self, seed: int) -> "Seeds":
        """Return the seeds, with every ``None`` replaced by ``seed``."""
        return Seeds(**{k: seed if v is None else v for k, v in vars(self).items()})


def seed_of(seed: int | None, purpose: str, *name: object) -> int:
    """Return a 63-bit seed, a pure function of (seed, purpose, name)."""
    text = repr(plain((seed, purpose, *name))).encode()  # NumPy's 3 is the same seed as 3
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def generator(seed: int | None, purpose: str, *name: object) -> torch.Generator:
    """Return a CPU generator for one purpose and name. The same arguments always give the same stream."""
    return torch.Generator().manual_seed(seed_of(seed, purpose, *name))
