"""How much tuning does each rule need, and how sensitive is it to its settings?

Paper     Kunin et al. (2020), "Two routes to scalable credit assignment without weight symmetry": the weight mirror
          needs "laborious tuning that does not transfer across network architecture".
Method    Quasi-random trials. The shared parameters (η, λ, momentum, schedule, warm-up) have the same values for every
          rule in the n-th trial. Every trial is complete, so that error against budget has valid confidence bands.
Ranges    See searchspaces/ranges.py for the ranges and their reasons.
Expected  bp and kp have a wide range of good settings, wm a narrower one; fa is the worst at every setting.
Cost      5 rules x 64 trials of 6 epochs on digits, about 50 minutes on 2 cores.
Command   nowt search fair_rules
"""

from dataclasses import replace

from nowt import Budget, EarlyStopping, Rule, SearchCell, SearchSpace
from searchspaces.five_rules import five_rules
from searchspaces.ranges import RULE_PARAMS, SHARED_PARAMS, base_config, rescale_epochs

EPOCHS = 6  # instead of the recipe's 10, because no trial is stopped early


def space() -> SearchSpace:
    """Search five rules, 64 quasi-random trials each."""
    cells = tuple(_cell(rule) for rule in five_rules())
    question = "How much tuning does each rule need?"
    return SearchSpace(
        "fair_rules", question, cells, Budget(64), sampler="quasi_random", stopping=EarlyStopping("none")
    )


def _cell(rule: Rule) -> SearchCell:
    return SearchCell(
        rule.name,
        replace(base_config(rule), epochs=EPOCHS),
        rescale_epochs(SHARED_PARAMS, EPOCHS) + RULE_PARAMS[rule.name],
    )
