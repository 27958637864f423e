"""The parameters of the shipped searches, with the reasons for their ranges: shared ones, and each rule's own."""

from dataclasses import replace

from nowt import Choice, Range, Rule, RunConfig, When
from nowt.config.recipes import digits
from nowt.studies.search.params import scale_epochs

EPOCHS = 10  # of the digits recipe; warm-up and milestones below refer to it

# η: two decades around the recipe's value. λ: up to the value with which kp aligns within an epoch; below 1e-4, decay
# has no effect in a run of this length. μ: averages 1/(1-μ) = 2 to 33 steps, at most a fifth of an epoch of digits.
# Warm-up: none to a fifth of the run, so that enough time is left for the schedule. Milestones: not before half of the
# run, as in He et al. (2016; at a half and three quarters), because earlier ones would stop slow rules from learning.
SHARED_PARAMS: tuple[Range | Choice, ...] = (
    Range("optim.lr", 0.005, 0.5, log=True),
    Range("optim.weight_decay", 1e-4, 5e-2, log=True),
    Range("optim.momentum", 0.5, 0.97),
    Range("optim.warmup", 0.0, 2.0),
    Choice("optim.schedule", ("cosine", "step")),
    Choice("optim.milestones", ((5.0, 8.0), (7.0, 9.0)), when=When("optim.schedule", "step")),
)

# Initialization of B: the paper uses the distribution of W. The scale covers a factor of 3 in both directions, because
# common initializations differ by that much: He's is √6 = 2.4 times PyTorch's default.
INITIALIZATION_PARAMS: tuple[Range | Choice, ...] = (
    Choice("rule.start", ("as_weight", "normal", "uniform")),
    Range("rule.scale", 0.3, 3.0, log=True),
)

# Sign-symmetry: the three kinds of magnitudes in the literature, scaled by the same factor of 3 as B above. Each layer
# multiplies the error signal by it, so that a larger factor makes the signal vanish or explode with depth.
MAGNITUDE_PARAMS: tuple[Range | Choice, ...] = (
    Choice("rule.magnitudes", ("constant", "fixed", "redrawn")),
    Range("rule.scale", 0.3, 3.0, log=True),
)

# Mirror mode: the gain c = η/λ and the memory 1/λ, because independent η and λ would mostly vary c. ξ: at most three
# times the response of one unit to σ = 1. Samples, interval and warm-up: what is affordable.
MIRROR_PARAMS: tuple[Range | Choice, ...] = (
    Range("rule.decay", 0.01, 0.5, log=True),
    Range("rule.eta", 0.3, 3.0, log=True, times="rule.decay"),
    Choice("rule.noise", ("normal", "uniform", "sign")),
    Range("rule.receiver_noise", 0.01, 3.0, log=True),
    Range("rule.samples", 4, 64, log=True, integer=True),
    Range("rule.interval", 1, 32, log=True, integer=True),
    Range("rule.warmup", 0, 200, integer=True),
)

RULE_PARAMS: dict[str, tuple[Range | Choice, ...]] = {
    "bp": (),
    "fa": INITIALIZATION_PARAMS,
    "ss": MAGNITUDE_PARAMS,
    "wm": MIRROR_PARAMS,
    "kp": INITIALIZATION_PARAMS,
}


def base_config(rule: Rule) -> RunConfig:
    """Return the digits recipe without test images, as a search requires."""
    return replace(digits(rule), test=False)


def rescale_epochs(params: tuple[Range | Choice, ...], epochs: int) -> tuple[Range | Choice, ...]:
    """Return the parameters for runs of ``epochs`` epochs; warm-up and milestones keep their share of the run."""
    return tuple(scale_epochs(param, epochs / EPOCHS) for param in params)
