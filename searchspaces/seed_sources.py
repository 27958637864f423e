"""Which source of randomness makes runs of a rule differ: the initial W or B, data order, crops or mirror noise?

Paper     Bouthillier et al. (2021), "Accounting for variance in machine learning benchmarks": the order of the data and
          the initialization of W contribute about the same. No such analysis is published for rules with a separate B.
Expected  fa depends on the initialization of B, which it keeps; kp and wm forget theirs. Mirror noise matters little.
Cost      20 cells and 10 seeds on digits, about 40 minutes on 2 cores.
Command   nowt ablate seed_sources
"""

from dataclasses import fields, replace

from nowt import Cell, Rule, Study
from nowt.config.recipes import digits
from nowt.core.seeding import Seeds
from searchspaces.five_rules import SHORT_RUN_MIRROR, five_rules

PINNED = 1_000  # a seed that no run has, so that no run of a pinned cell is also a run of the free cell

LABELS = {"weights": "W", "feedback": "B", "order": "order", "crops": "crops", "noise": "noise"}


def study() -> Study:
    """Train each rule with all seeds free, and with all but one pinned; ten seeds."""
    cells = tuple(cell for rule in five_rules(SHORT_RUN_MIRROR) if rule.name != "ss" for cell in _cells(rule))
    question = "Which source of randomness makes runs of one rule differ?"
    return Study("seed_sources", question, cells, seeds=tuple(range(10)))


def _cells(rule: Rule) -> list[Cell]:
    config = digits(rule)
    cells = [Cell(rule.name, config)]
    for purpose in _purposes(rule):
        held = {field.name: PINNED for field in fields(Seeds) if field.name != purpose}
        cells.append(Cell(f"{rule.name}, {LABELS[purpose]} alone", replace(config, seeds=Seeds(**held))))
    return cells


def _purposes(rule: Rule) -> list[str]:
    """Return the seed purposes that the rule uses: bp has no B, and only wm has mirror noise."""
    without = {"bp": ("feedback", "noise"), "wm": ()}.get(rule.name, ("noise",))
    return [purpose for purpose in LABELS if purpose not in without]
