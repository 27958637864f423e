"""The five rules that most studies compare, and mirror mode for short, medium and long runs."""

from nowt import Backprop, FeedbackAlignment, KolenPollack, Rule, SignSymmetry, WeightMirror

# In a short run, W turns by tens of degrees within the default memory of the weight mirror, 400 steps (interval / λ).
# These have a memory of 40 and of 80 steps. More mirror steps make up for the larger sampling error.
SHORT_RUN_MIRROR = WeightMirror(eta=0.1, decay=0.1, interval=4)

MEDIUM_RUN_MIRROR = WeightMirror(eta=0.05, decay=0.05, interval=4)

LONG_RUN_MIRROR = WeightMirror()


def five_rules(mirror: WeightMirror = LONG_RUN_MIRROR) -> tuple[Rule, ...]:
    """Return backprop, feedback alignment, sign-symmetry, weight mirror (``mirror``) and Kolen-Pollack."""
    return Backprop(), FeedbackAlignment(), SignSymmetry(), mirror, KolenPollack()
