"""Does the gap to backprop widen with depth?

Paper     Akrout et al. (2019): no, for wm and kp from ResNet-18 to ResNet-50. Kunin et al. (2020): yes, for the
          weight mirror, whose hyperparameters do not transfer.
Expected  The gap of fa and ss widens; the gap of kp does not.
Cost      15 cells and 3 seeds at 64 px: hours on a GPU, days on a laptop. Try it with --quick.
Command   nowt ablate depth --data-dir DIR
"""

from dataclasses import replace

from nowt import Cell, Rule, Study
from nowt.config.recipes import folder_resnet18
from searchspaces.five_rules import five_rules


def study() -> Study:
    """Compare five rules on ResNet-18, ResNet-34 and ResNet-50; three seeds. The reference is ResNet-18 with bp."""
    cells = tuple(_cell(rule, depth) for depth in (18, 34, 50) for rule in five_rules())
    question = "Does the gap to backprop widen with depth?"
    return Study("depth", question, cells, seeds=(0, 1, 2), reference="bp ResNet-18")


def _cell(rule: Rule, depth: int) -> Cell:
    config = folder_resnet18(rule)
    model = replace(config.model, name=f"resnet{depth}")
    return Cell(f"{rule.name} ResNet-{depth}", replace(config, model=model))
