"""Which random draw makes runs of one rule differ: the start of W, of B, the order of pictures, crops, or mirror noise?

Paper     Bouthillier et al. (2021), "Accounting for variance in machine learning benchmarks": the order of the data and
          the start of W matter about alike. For rules with a B of their own no such split is published.
Expected  fa depends on the draw of B, which it keeps; kp and wm forget theirs. The mirror noise matters little.
Cost      20 cells and 10 seeds on digits, about 40 minutes on 2 cores.
Command   nowt ablate seed_sources
"""

from dataclasses import fields, replace

from nowt.config.recipes import digits
from nowt.core.seeding import Seeds
from nowt.rules.base import Rule
from nowt.studies.study import Cell, Study
from searchspaces.five import MINUTES, five_rules

PINNED = 1_000  # a seed that no run has: a run of a pinned cell is never one of the free cell

WORDS = {"weights": "W", "feedback": "B", "order": "order", "crops": "crops", "noise": "noise"}


def study() -> Study:
    """Each rule with all seeds free, and with all pinned but one purpose's; ten seeds."""
    cells = tuple(cell for rule in five_rules(MINUTES) if rule.name != "ss" for cell in _cells(rule))
    question = "Which random draw makes runs of one rule differ?"
    return Study("seed_sources", question, cells, seeds=tuple(range(10)))


def _cells(rule: Rule) -> list[Cell]:
    config = digits(rule)
    cells = [Cell(rule.name, config)]
    for purpose in _purposes(rule):
        held = {field.name: PINNED for field in fields(Seeds) if field.name != purpose}
        cells.append(Cell(f"{rule.name}, {WORDS[purpose]} alone", replace(config, seeds=Seeds(**held))))
    return cells


def _purposes(rule: Rule) -> list[str]:
    """What the rule draws: bp has no B, and only wm has mirror noise."""
    without = {"bp": ("feedback", "noise"), "wm": ()}.get(rule.name, ("noise",))
    return [purpose for purpose in WORDS if purpose not in without]
