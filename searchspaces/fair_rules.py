"""How much tuning does each rule need, and how forgiving is it?

Paper     Kunin et al. (2020), "Two routes to scalable credit assignment without weight symmetry": the weight mirror
          needs "laborious tuning that does not transfer across network architecture".
Draws     Independent quasi-random draws, the shared settings (η, λ, momentum, schedule, warm-up) the same for every
          rule in the n-th draw; every trial is run to its end, so that error against budget has valid bands.
Ranges    searchspaces/ranges.py, with reasons.
Expected  bp and kp forgiving, wm narrower, fa worst at any setting.
Cost      5 rules x 64 draws of 10 epochs on digits, about 90 minutes on 2 cores.
Command   nowt search fair_rules
"""

from nowt.search import Budget, Cell, Space, Stopping

from searchspaces.five import five_rules
from searchspaces.ranges import OWN, SHARED, base


def space() -> Space:
    """Five rules, 64 shared draws."""
    cells = tuple(Cell(rule.name, base(rule), SHARED + OWN[rule.name]) for rule in five_rules())
    question = "How much tuning does each rule need?"
    return Space("fair_rules", question, cells, Budget(64), sampler="quasi_random", stopping=Stopping("none"))
