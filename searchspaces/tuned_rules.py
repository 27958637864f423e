"""Do weight mirrors and Kolen-Pollack keep pace with backprop, if every rule is tuned?

Paper     Akrout et al. (2019), "Deep learning without weight transport": on ImageNet, wm and kp match backprop, ss and
          fa do not. No rule's settings were published as tuned.
Method    ResNet-20 on CIFAR-10 with 10,000 training images. Each rule has eight complete trials with quasi-random
          settings; the n-th trial of every rule has the same η, λ, momentum and schedule. The best two settings are
          trained again with two new seeds, and the better one is the rule's pick. The picks are trained with eight
          other seeds. A seed decides W, B, the order of the images, and which images are trained on and validated on.
          Test images are scored once, after the last epoch of the picks.
Ranges    Below, with their reasons.
Claim     wm and kp are both within 1.5 points of backprop's test error. It is tested only where the δ angle is below
          20° over the second half of training.
Expected  kp within one point of backprop; wm zero to two points behind; ss one to four points behind; fa more than ten.
Cost      5 rules x (8 trials + 4 confirming runs + 8 picks) of 12 epochs, about 16 hours of one core.
Command   nowt search tuned_rules --data-dir DIR
"""

from dataclasses import replace

from nowt import (
    Backprop,
    Budget,
    Choice,
    Claim,
    Confirm,
    EarlyStopping,
    FeedbackAlignment,
    KolenPollack,
    Range,
    Rule,
    RunConfig,
    SearchCell,
    SearchSpace,
    SignSymmetry,
    WeightMirror,
    When,
)
from nowt.config.recipes import cifar10_resnet20

EPOCHS = 12

# η, λ and μ: together, κ = ηλ/(1 − μ) spans 8e-5 to 1e-2 per step. Over the 3,744 steps of a run, W forgets between a
# tenth of its initial value and all of it, many times over; kp aligns in the upper half (`nowt plan`). Above, no mirror
# can keep B within 9° of W. Milestones: not before half of the run, as in He et al. (2015).
SHARED: tuple[Range | Choice, ...] = (
    Range("optim.lr", 0.03, 0.2, log=True),
    Range("optim.weight_decay", 5e-4, 4e-3, log=True),
    Range("optim.momentum", 0.8, 0.92),
    Choice("optim.schedule", ("cosine", "step")),
    Choice("optim.milestones", ((6.0, 10.0), (8.0,)), when=When("optim.schedule", "step")),
)

# The size of B scales the error in each layer. A factor of 3 in both directions, as in searchspaces/ranges.py.
SCALE = Range("rule.scale", 0.3, 3.0, log=True)

# wm: from the smallest angle that a mirror can hold at every η and λ above, to the largest that the claim allows.
OF_RULE: dict[str, tuple[Range | Choice, ...]] = {
    "bp": (),
    "fa": (SCALE,),
    "ss": (Choice("rule.magnitudes", ("constant", "fixed", "redrawn")), SCALE),
    "wm": (Range("rule.target_angle", 9.0, 18.0),),
    "kp": (SCALE,),
}


def config(rule: Rule) -> RunConfig:
    """Return the base config: the recipe with 10,000 images, batches of 32 and 12 epochs."""
    base = cifar10_resnet20(rule)
    data = replace(base.data, train_limit=10_000, split="by_seed")
    optim = replace(base.optim, weight_decay=2e-3, warmup=0.5)
    return replace(base, data=data, optim=optim, epochs=EPOCHS, batch=32, test=False)


def space() -> SearchSpace:
    """Search five rules, eight complete trials each; confirm two settings; train the picks with eight seeds."""
    rules = (Backprop(), FeedbackAlignment(), SignSymmetry(), WeightMirror(target_angle=12.0), KolenPollack())
    return SearchSpace(
        name="tuned_rules",
        question="Do weight mirrors and Kolen-Pollack keep pace with backprop, if every rule is tuned?",
        cells=tuple(SearchCell(rule.name, config(rule), SHARED + OF_RULE[rule.name]) for rule in rules),
        budget=Budget(8),
        sampler="quasi_random",
        stopping=EarlyStopping("none"),
        confirm=Confirm(2, seeds=2, pick_seeds=8, test="last"),
        claim=Claim(cells=("wm", "kp"), margin=1.5, max_delta_angle=20.0),
    )
