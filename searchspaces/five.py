"""The five rules that most studies compare, and the mirror mode of trainings that last minutes."""

from nowt.rules.backprop import Backprop
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.rules.weight_mirror import WeightMirror

# In a short training W turns by tens of degrees within wm's default memory of 400 steps (interval / λ); these forget
# in 40 and in 80. More noise a step pays for what a shorter memory leaves of the sampling error.
MINUTES = WeightMirror(eta=0.1, decay=0.1, interval=4)

AN_HOUR = WeightMirror(eta=0.05, decay=0.05, interval=4)

DAYS = WeightMirror()


def five_rules(mirror: WeightMirror = DAYS) -> tuple[Rule, ...]:
    """Backprop, feedback alignment, sign-symmetry, weight mirror (``mirror``) and Kolen-Pollack."""
    return Backprop(), FeedbackAlignment(), SignSymmetry(), mirror, KolenPollack()
