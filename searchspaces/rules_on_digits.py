"""How do five rules compare on a task that any laptop finishes in minutes?

Paper     Akrout et al. (2019), "Deep learning without weight transport", figure 1, in miniature.
Net       a residual net of 10 weighted layers with batch norm, 16 px pictures of scikit-learn's digits, shifted at
          random and under fixed pixel noise. λ is large, so that kp forgets its start within the few epochs.
Expected  fa far behind; bp, wm and kp close together, ss near them. Digits are easy: the order of the three best is
          not evidence about large nets.
Cost      15 runs of 8 epochs, about 3 minutes on 2 cores.
Command   nowt ablate rules_on_digits
"""

from dataclasses import replace

from nowt.config.recipes import digits
from nowt.studies.study import Cell, Study
from searchspaces.five import MINUTES, five_rules


def study() -> Study:
    """Five rules, three seeds."""
    cells = tuple(Cell(rule.name, replace(digits(rule), epochs=8)) for rule in five_rules(MINUTES))
    return Study("rules_on_digits", "How do five rules compare on noisy digits?", cells, seeds=(0, 1, 2))
