"""Which parts of mirror mode does the weight mirror need?

Paper     Akrout et al. (2019), section "mirror mode"; Kunin et al. (2020) on its sensitivity. Each cell changes
          one field of the default: the kind of noise, σ relative to receiver noise ξ, what the noise passes through,
          normalization, samples, interval, and mirroring only before learning ("in sleep or in utero").
Expected  Fewer samples, longer intervals and ξ near σ worsen the alignment. Without normalization, layers with large
          feature maps have another gain. Mirroring only before learning loses alignment as W changes.
Cost      15 cells and 3 seeds on digits, about 10 minutes on 2 cores.
Command   nowt ablate mirror_mode
"""

from dataclasses import replace

from nowt import Cell, Study
from nowt.config.recipes import digits
from searchspaces.five_rules import SHORT_RUN_MIRROR

VARIANTS = {
    "default": SHORT_RUN_MIRROR,
    "noise uniform": replace(SHORT_RUN_MIRROR, noise="uniform"),
    "noise sign": replace(SHORT_RUN_MIRROR, noise="sign"),
    "σ 0.1, ξ 0.1": replace(SHORT_RUN_MIRROR, sigma=0.1, receiver_noise=0.1, eta=10.0),
    "σ 1, ξ 1": replace(SHORT_RUN_MIRROR, receiver_noise=1.0),
    "σ 1, ξ 10": replace(SHORT_RUN_MIRROR, receiver_noise=10.0),
    "through relu": replace(SHORT_RUN_MIRROR, through="nonlinearity", eta=0.2),
    "per position": replace(SHORT_RUN_MIRROR, normalize="positions"),
    "not normalised": replace(SHORT_RUN_MIRROR, normalize="none", eta=1e-4),
    "4 samples": replace(SHORT_RUN_MIRROR, samples=4),
    "64 samples": replace(SHORT_RUN_MIRROR, samples=64),
    "every step": replace(SHORT_RUN_MIRROR, interval=1),
    "every 32 steps": replace(SHORT_RUN_MIRROR, interval=32),
    "only before": replace(SHORT_RUN_MIRROR, interval=0),
    "only during": replace(SHORT_RUN_MIRROR, warmup=0),
}


def study() -> Study:
    """Change one field of mirror mode per cell; three seeds. The reference is the default."""
    cells = tuple(Cell(name, digits(rule)) for name, rule in VARIANTS.items())
    question = "Which parts of mirror mode does the weight mirror need?"
    return Study("mirror_mode", question, cells, seeds=(0, 1, 2), reference="default")
