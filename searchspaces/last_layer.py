"""Does it matter whether the last layer uses the rule or backprop?

Paper     Xiao et al. (2018) use backprop in the last layer; Akrout et al. (2019) use the rule (the initial angles of
          their last layer are those of the rule). The choice changes the results of sign-symmetry.
Expected  fa gains most from backprop in the last layer, ss a little, wm and kp nothing.
Cost      9 cells and 3 seeds on digits, about 5 minutes on 2 cores.
Command   nowt ablate last_layer
"""

from dataclasses import replace

from nowt import Backprop, Cell, FeedbackAlignment, KolenPollack, SignSymmetry, Study
from nowt.config.recipes import digits
from searchspaces.five_rules import SHORT_RUN_MIRROR

RULES = (FeedbackAlignment(), SignSymmetry(), SHORT_RUN_MIRROR, KolenPollack())


def study() -> Study:
    """Compare each rule with and without backprop in the last layer; three seeds."""
    cells = [Cell("bp", digits(Backprop()))]
    for rule in RULES:
        cells.append(Cell(rule.name, digits(rule)))
        cells.append(Cell(f"{rule.name}, last layer bp", digits(replace(rule, last_layer="backprop"))))
    question = "Does it matter whether the last layer uses the rule or backprop?"
    return Study("last_layer", question, tuple(cells), seeds=(0, 1, 2))
