"""What the searches vary, and why so far: the ranges that they share, and each rule's own."""

from dataclasses import replace

from nowt.config.recipes import digits
from nowt.config.run_config import RunConfig
from nowt.rules.base import Rule
from nowt.studies.search.params import Choice, Param, Range, When, scale_epochs

EPOCHS = 10  # that the settings in epochs below are for

# Two decades around the recipe's η, and λ up to where kp aligns within an epoch; below 1e-4 nothing decays in a search.
# 1/(1-μ) steps are summed, 2 to 33: from hardly any smoothing to a fifth of an epoch of digits. Warm-up from none
# to a fifth of the run: more would leave the schedule little time. The rate falls at a half at the earliest, as in He
# et al. (2016; at a half and three quarters), since an earlier fall would end the learning of slow rules.
SHARED: tuple[Param, ...] = (
    Range("optim.lr", 0.005, 0.5, log=True),
    Range("optim.weight_decay", 1e-4, 5e-2, log=True),
    Range("optim.momentum", 0.5, 0.97),
    Range("optim.warmup", 0.0, 2.0),
    Choice("optim.schedule", ("cosine", "step")),
    Choice("optim.milestones", ((5.0, 8.0), (7.0, 9.0)), when=When("optim.schedule", "step")),
)

# How B starts: the paper draws it as W. The scale covers a factor of 3 either way, because initialisers that a lab
# takes without a thought differ by that much: He's is √6 = 2.4 times PyTorch's default.
STARTS: tuple[Param, ...] = (
    Choice("rule.start", ("as_weight", "normal", "uniform")),
    Range("rule.scale", 0.3, 3.0, log=True),
)

# Sign-symmetry's three magnitudes of the literature, and their size by the same factor of 3 as B's above: each layer
# multiplies the error signal by it, so that what lies further out makes the signal vanish or explode with depth.
MAGNITUDES: tuple[Param, ...] = (
    Choice("rule.magnitudes", ("constant", "fixed", "redrawn")),
    Range("rule.scale", 0.3, 3.0, log=True),
)

# Mirror mode by its gain c = η/λ and its memory 1/λ: η and λ drawn apart would mostly vary c. ξ at most three times
# the response of one unit to σ = 1; samples, interval and warm-up over what a lab would pay for.
MIRROR: tuple[Param, ...] = (
    Range("rule.decay", 0.01, 0.5, log=True),
    Range("rule.eta", 0.3, 3.0, log=True, times="rule.decay"),
    Choice("rule.noise", ("normal", "uniform", "sign")),
    Range("rule.receiver_noise", 0.01, 3.0, log=True),
    Range("rule.samples", 4, 64, log=True, integer=True),
    Range("rule.interval", 1, 32, log=True, integer=True),
    Range("rule.warmup", 0, 200, integer=True),
)

OWN: dict[str, tuple[Param, ...]] = {"bp": (), "fa": STARTS, "ss": MAGNITUDES, "wm": MIRROR, "kp": STARTS}


def base(rule: Rule) -> RunConfig:
    """The digits recipe; a search opens no test pictures."""
    return replace(digits(rule), test=False)


def in_epochs(params: tuple[Param, ...], epochs: int) -> tuple[Param, ...]:
    """The parameters for runs of so many epochs: warm-up and milestones keep their share."""
    return tuple(scale_epochs(param, epochs / EPOCHS) for param in params)
