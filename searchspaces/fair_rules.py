"""How much tuning does each rule need, and how forgiving is it?

Paper     Kunin et al. (2020), "Two routes to scalable credit assignment without weight symmetry": the weight mirror
          needs "laborious tuning that does not transfer across network architecture".
Draws     Independent quasi-random draws, the shared settings (η, λ, momentum, schedule, warm-up) the same for every
          rule in the n-th draw; every trial is run to its end, so that error against budget has valid bands.
Ranges    searchspaces/ranges.py, with reasons.
Expected  bp and kp forgiving, wm narrower, fa worst at any setting.
Cost      5 rules x 64 draws of 6 epochs on digits, about 50 minutes on 2 cores.
Command   nowt search fair_rules
"""

from dataclasses import replace

from nowt.rules.base import Rule
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace
from searchspaces.five import five_rules
from searchspaces.ranges import OWN, SHARED, base, in_epochs

EPOCHS = 6  # of the digits recipe's 10: a fair search runs every trial to its end


def space() -> SearchSpace:
    """Five rules, 64 shared draws."""
    cells = tuple(_cell(rule) for rule in five_rules())
    question = "How much tuning does each rule need?"
    return SearchSpace(
        "fair_rules", question, cells, Budget(64), sampler="quasi_random", stopping=EarlyStopping("none")
    )


def _cell(rule: Rule) -> SearchCell:
    return SearchCell(rule.name, replace(base(rule), epochs=EPOCHS), in_epochs(SHARED, EPOCHS) + OWN[rule.name])
