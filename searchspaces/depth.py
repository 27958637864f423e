"""Does the gap to backprop widen with depth?

Paper     Akrout et al. (2019): not from ResNet-18 to -50 for wm and kp. Kunin et al. (2020): it does for the weight
          mirror, whose tuning does not transfer.
Expected  fa's and ss's gap widens; kp's does not.
Cost      15 cells and 3 seeds at 64 px: hours on a GPU, days on a laptop; --quick for a look.
Command   nowt ablate depth --data-dir DIR
"""

from dataclasses import replace

from nowt.config.recipes import folder_resnet18
from nowt.rules.base import Rule
from nowt.studies.study import Cell, Study
from searchspaces.five import five_rules


def study() -> Study:
    """ResNet-18, -34 and -50 under five rules; three seeds. The gap is taken to ResNet-18 under bp."""
    cells = tuple(_cell(rule, depth) for depth in (18, 34, 50) for rule in five_rules())
    question = "Does the gap to backprop widen with depth?"
    return Study("depth", question, cells, seeds=(0, 1, 2), reference="bp ResNet-18")


def _cell(rule: Rule, depth: int) -> Cell:
    config = folder_resnet18(rule)
    model = replace(config.model, name=f"resnet{depth}")
    return Cell(f"{rule.name} ResNet-{depth}", replace(config, model=model))
