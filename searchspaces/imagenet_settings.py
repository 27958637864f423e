"""Which settings do five rules want on ImageNet?

Paper     None searched them in the open: Akrout et al. (2019) give no ranges; Kunin et al. (2020) tried 628 settings of
          the weight mirror's relatives on ResNet-18.
Setting   ResNet-18 for 18 epochs, a fifth of the recipe's 90, with warm-up and falls of η at their share: a short run
          ranks settings, its error is not the long run's. No test pictures.
Ranges    η and λ half a decade around the recipe's; B's own fields as in searchspaces/ranges.py; mirror mode by its
          gain η/λ and by its memory, which may be eight times as long or a fifth of the recipe's.
Expected  bp and kp broad; ss below bp's η; wm wants more samples where its memory is short; fa near chance anywhere.
Cost      not measured: 5 rules x 12 trials of at most 1.4 hours on an A100 (see rules_on_imagenet), 87 GPU-hours
          without early stopping, about half of that with it. The transfer: 60 runs of ResNet-50 (of each rule 3
          settings and the recipe, 3 seeds), also of 18 epochs.
Command   nowt search imagenet_settings --data-dir DIR --slots 1 --threads 4 --loaders 10
          nowt transfer imagenet_settings --to resnet50_imagenet --epochs 18 --optim.warmup 1 \\
              --optim.milestones 6,12,16 --data-dir DIR --slots 1 --threads 4 --loaders 5
"""

from dataclasses import replace

from nowt.config.recipes import IMAGENET_RULES, resnet18_imagenet
from nowt.rules.base import Rule
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Param, Range
from nowt.studies.search.space import Budget, SearchSpace
from searchspaces.ranges import OWN

EPOCHS = 18

SHARED: tuple[Param, ...] = (
    Range("optim.lr", 0.03, 0.3, log=True),
    Range("optim.weight_decay", 3e-5, 3e-4, log=True),
    Range("optim.warmup", 0.2, 2.0),
)

MIRROR: tuple[Param, ...] = (
    Range("rule.decay", 0.0015, 0.065, log=True),
    Range("rule.eta", 0.3, 3.0, log=True, times="rule.decay"),
    Range("rule.samples", 32, 512, log=True, integer=True),
    Range("rule.interval", 2, 32, log=True, integer=True),
    Range("rule.warmup", 30, 600, log=True, integer=True),
)


def space() -> SearchSpace:
    """Five rules, 12 trials each."""
    cells = tuple(_cell(rule) for rule in IMAGENET_RULES)
    return SearchSpace("imagenet_settings", "Which settings do five rules want on ImageNet?", cells, Budget(12))


def _cell(rule: Rule) -> SearchCell:
    config = resnet18_imagenet(rule)
    pace = EPOCHS / config.epochs
    milestones = tuple(pace * milestone for milestone in config.optim.milestones)
    optim = replace(config.optim, milestones=milestones, warmup=pace * config.optim.warmup)
    own = MIRROR if rule.name == "wm" else OWN[rule.name]
    return SearchCell(rule.name, replace(config, epochs=EPOCHS, optim=optim, test=False), SHARED + own)
