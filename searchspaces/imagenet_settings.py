"""Which settings work best for each of five rules on ImageNet?

Paper     No published search: Akrout et al. (2019) give no ranges; Kunin et al. (2020) tried 628 settings of
          the weight mirror's relatives on ResNet-18.
Method    TPE with successive halving on ResNet-18 for 18 epochs, a fifth of the recipe's 90. Warm-up and milestones
          keep their share of the run. A short run ranks settings; its error is not that of the long run.
Ranges    η and λ within half a decade of the recipe's; the fields of B as in searchspaces/ranges.py; for mirror mode
          the gain η/λ and the memory, from a fifth to eight times the recipe's.
Expected  A broad optimum for bp and kp; a smaller η for ss than for bp; more samples for wm with a short memory; fa
          near chance everywhere.
Cost      Not measured. Estimate: 5 rules x 12 trials of at most 1.4 hours on an A100 (see rules_on_imagenet), 87
          GPU-hours without early stopping, about half of that with it. The transfer runs ResNet-50 60 times for 18
          epochs (5 rules, 3 settings and the recipe each, 3 seeds).
Command   nowt search imagenet_settings --data-dir DIR --slots 1 --threads 4 --loaders 10
          nowt transfer imagenet_settings --to resnet50_imagenet --epochs 18 --optim.warmup 1 \\
              --optim.milestones 6,12,16 --data-dir DIR --slots 1 --threads 4 --loaders 5
"""

from dataclasses import replace

from nowt import Budget, Choice, Range, Rule, SearchCell, SearchSpace
from nowt.config.recipes import IMAGENET_RULES, resnet18_imagenet
from searchspaces.ranges import RULE_PARAMS

EPOCHS = 18

SHARED_PARAMS: tuple[Range | Choice, ...] = (
    Range("optim.lr", 0.03, 0.3, log=True),
    Range("optim.weight_decay", 3e-5, 3e-4, log=True),
    Range("optim.warmup", 0.2, 2.0),
)

MIRROR_PARAMS: tuple[Range | Choice, ...] = (
    Range("rule.decay", 0.0015, 0.065, log=True),
    Range("rule.eta", 0.3, 3.0, log=True, times="rule.decay"),
    Range("rule.samples", 32, 512, log=True, integer=True),
    Range("rule.interval", 2, 32, log=True, integer=True),
    Range("rule.warmup", 30, 600, log=True, integer=True),
)


def space() -> SearchSpace:
    """Search five rules, 12 trials each."""
    cells = tuple(_cell(rule) for rule in IMAGENET_RULES)
    return SearchSpace(
        "imagenet_settings", "Which settings work best for each of five rules on ImageNet?", cells, Budget(12)
    )


def _cell(rule: Rule) -> SearchCell:
    config = resnet18_imagenet(rule)
    pace = EPOCHS / config.epochs
    milestones = tuple(pace * milestone for milestone in config.optim.milestones)
    optim = replace(config.optim, milestones=milestones, warmup=pace * config.optim.warmup)
    own = MIRROR_PARAMS if rule.name == "wm" else RULE_PARAMS[rule.name]
    return SearchCell(rule.name, replace(config, epochs=EPOCHS, optim=optim, test=False), SHARED_PARAMS + own)
