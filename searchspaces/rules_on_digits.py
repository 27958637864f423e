"""How do five rules compare on a task that any laptop finishes in minutes?

Paper     Akrout et al. (2019), "Deep learning without weight transport", figure 1, in miniature.
Model     A residual network with 10 weight layers and batch norm, on 16 px images of scikit-learn's digits with random
          shifts and fixed pixel noise. λ is large, so that kp forgets the initialization within the few epochs.
Expected  fa far behind; bp, wm and kp close together, ss near them. Digits are easy: the order of the best three is
          not evidence about large networks.
Cost      15 runs of 8 epochs, about 3 minutes on 2 cores.
Command   nowt ablate rules_on_digits
"""

from dataclasses import replace

from nowt import Cell, Study
from nowt.config.recipes import digits
from searchspaces.five_rules import SHORT_RUN_MIRROR, five_rules


def study() -> Study:
    """Compare five rules, three seeds."""
    cells = tuple(Cell(rule.name, replace(digits(rule), epochs=8)) for rule in five_rules(SHORT_RUN_MIRROR))
    return Study("rules_on_digits", "How do five rules compare on noisy digits?", cells, seeds=(0, 1, 2))
