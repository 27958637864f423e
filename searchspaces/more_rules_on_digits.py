"""How do direct feedback and information alignment compare with the rules of Akrout et al. on digits?

Paper     Nøkland (2016) for dfa, Webster et al. (2021) for dkp, Kunin et al. (2020) for ia. On CIFAR-10 with a small
          network, the code of Webster et al. has 61.0 % accuracy with dfa, 67.5 % with dkp and 70.5 % with bp.
Model     The residual network of rules_on_digits, on digits in their own 8 px, each image twice per epoch. All rules
          have the recipe's η and λ: with one seed (100), validation images and η = 0.015, 0.05 and 0.15, no rule had an
          error that was more than one point lower at another η.
Expected  bp, kp and wm close together, dkp and dfa near them, ia behind, fa last, as with seed 100. Digits are easy:
          the order is not evidence about large networks.
Cost      35 runs of 8 epochs, about 5 minutes on 2 idle cores.
Command   nowt ablate more_rules_on_digits
"""

from dataclasses import replace

from nowt import (
    Backprop,
    Cell,
    DirectFeedbackAlignment,
    DirectKolenPollack,
    FeedbackAlignment,
    InformationAlignment,
    KolenPollack,
    Rule,
    RunConfig,
    Study,
)
from nowt.config.recipes import digits
from searchspaces.five_rules import SHORT_RUN_MIRROR

NEW: tuple[Rule, ...] = (DirectFeedbackAlignment(), DirectKolenPollack(), InformationAlignment())


def study() -> Study:
    """Compare seven rules, five seeds."""
    rules = (Backprop(), FeedbackAlignment(), SHORT_RUN_MIRROR, KolenPollack(), *NEW)
    cells = tuple(Cell(rule.name, _config(rule)) for rule in rules)
    question = "How do direct feedback and information alignment compare with other rules on noisy digits?"
    return Study("more_rules_on_digits", question, cells, seeds=(0, 1, 2, 3, 4))


def _config(rule: Rule) -> RunConfig:
    """Return the digits recipe with 8 px images and fewer, shorter epochs."""
    config = digits(rule)
    return replace(config, epochs=8, data=replace(config.data, size=8, repeat=2))
