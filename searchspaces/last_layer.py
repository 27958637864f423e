"""Does it matter whether the last layer follows the rule or backprop?

Paper     Xiao et al. (2018) let the last layer do backprop; Akrout et al. (2019) let it follow the rule (their fc
          angles start at the rule's). It changes sign-symmetry's results.
Expected  fa gains most from an exact last layer, ss a little, wm and kp nothing.
Cost      9 cells and 3 seeds on digits, about 5 minutes on 2 cores.
Command   nowt ablate last_layer
"""

from dataclasses import replace

from nowt.config.recipes import digits
from nowt.rules.backprop import Backprop
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.studies.study import Cell, Study
from searchspaces.five import MINUTES

RULES = (FeedbackAlignment(), SignSymmetry(), MINUTES, KolenPollack())


def study() -> Study:
    """Each rule with its last layer under the rule and under backprop; three seeds."""
    cells = [Cell("bp", digits(Backprop()))]
    for rule in RULES:
        cells.append(Cell(rule.name, digits(rule)))
        cells.append(Cell(f"{rule.name}, last layer bp", digits(replace(rule, last_layer="backprop"))))
    question = "Does it matter whether the last layer follows the rule or backprop?"
    return Study("last_layer", question, tuple(cells), seeds=(0, 1, 2))
