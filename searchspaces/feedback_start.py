"""Does it matter how B starts?

Paper     Akrout et al. (2019): B drawn as W. "Soft alignment" (Cheon 2025) starts fa partly aligned with W.
Expected  fa improves as its starting angle falls; kp forgets its start, whatever it was, in Σηλ/(1−μ) ≈ 2.
Cost      11 cells and 3 seeds on digits, about 6 minutes on 2 cores.
Command   nowt ablate feedback_start
"""

from nowt.config.recipes import digits
from nowt.rules.backprop import Backprop
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.studies.study import Cell, Study


def study() -> Study:
    """fa and kp from several angles, distributions and scales; three seeds."""
    cells = [Cell("bp", digits(Backprop()))]
    for rule in (FeedbackAlignment, KolenPollack):
        starts = {
            "as W": rule(),
            "uniform": rule(start="uniform"),
            "half as large": rule(scale=0.5),
            "at 60°": rule(angle=60.0),
            "at 30°": rule(angle=30.0),
        }
        cells += [Cell(f"{rule.name} {name}", digits(start)) for name, start in starts.items()]
    return Study("feedback_start", "Does it matter how B starts?", tuple(cells), seeds=(0, 1, 2))
