"""How do five rules compare on a folder of your images?

Paper     Akrout et al. (2019), figure 1: ImageNet, ResNet-18; here any ImageFolder (train/CLASS, val/CLASS), 64 px.
Expected  bp, wm and kp close together, ss behind, fa far behind, if λ and the number of steps let kp align:
          nowt plan rules_on_folder --data-dir DIR checks this before the study starts.
Cost      15 runs of 12 epochs: with 3,600 training images about 9 minutes each on one core, 70 minutes in total on two.
Command   nowt ablate rules_on_folder --data-dir DIR
"""

from nowt import Cell, Study
from nowt.config.recipes import folder_resnet18
from searchspaces.five_rules import MEDIUM_RUN_MIRROR, five_rules


def study() -> Study:
    """Compare five rules, three seeds."""
    cells = tuple(Cell(rule.name, folder_resnet18(rule)) for rule in five_rules(MEDIUM_RUN_MIRROR))
    return Study("rules_on_folder", "How do five rules compare on a folder of images?", cells, seeds=(0, 1, 2))
