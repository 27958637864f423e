"""How do five rules compare on CIFAR-10 with ResNet-20?

Paper     He et al. (2015) for the network; BioTorch's benchmark for fa and ss (error after 250 epochs: bp 8.6 %,
          fa 32 %, ss 10 to 11 %); no published results for wm and kp on this network were found.
Expected  bp and kp near 9 to 10 % error after 60 epochs, wm and ss within a few points, fa far behind.
Cost      15 runs of 60 epochs: one night on a GPU, days on a laptop. Try it with --quick.
Command   nowt ablate rules_on_cifar10 --data-dir DIR
"""

from nowt import Cell, Study
from nowt.config.recipes import cifar10_resnet20
from searchspaces.five_rules import five_rules


def study() -> Study:
    """Compare five rules, three seeds."""
    cells = tuple(Cell(rule.name, cifar10_resnet20(rule)) for rule in five_rules())
    return Study("rules_on_cifar10", "How do five rules compare on CIFAR-10?", cells, seeds=(0, 1, 2))
