"""Does the initialization of B matter?

Paper     Akrout et al. (2019): B has the distribution of W. "Soft alignment" (Cheon 2025): fa with B partly aligned
          with W.
Expected  fa improves with a smaller initial angle. kp forgets every initialization by Σηλ/(1−μ) ≈ 2.
Cost      11 cells and 3 seeds on digits, about 6 minutes on 2 cores.
Command   nowt ablate feedback_start
"""

from nowt import Backprop, Cell, FeedbackAlignment, KolenPollack, Study
from nowt.config.recipes import digits


def study() -> Study:
    """Compare several distributions, scales and initial angles of B for fa and kp; three seeds."""
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
    return Study("feedback_start", "Does the initialization of B matter?", tuple(cells), seeds=(0, 1, 2))
