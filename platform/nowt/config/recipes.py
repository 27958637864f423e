"""Named starting points: functions of a rule that return a RunConfig. A variant changes two lines of another."""

from collections.abc import Callable
from dataclasses import replace

from nowt.config.run_config import DataConfig, ModelConfig, OptimConfig, ProbeConfig, RunConfig
from nowt.rules.backprop import Backprop
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.registry import find_rule
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.rules.weight_mirror import WeightMirror

BP = Backprop()


def digits(rule: Rule = BP) -> RunConfig:
    """A small residual net on scikit-learn's digits, noisy and shifted: seconds an epoch on one core."""
    return RunConfig(
        model=ModelConfig("tiny_resnet"),
        data=DataConfig("digits", size=16, augment="shift", repeat=4, noise=0.3),
        rule=rule,
        optim=OptimConfig(lr=0.05, weight_decay=1e-2, warmup=0.5),
        epochs=10,
        batch=32,
    )


def mnist_mlp(rule: Rule = BP) -> RunConfig:
    """784-500-10 with sigmoids and binary cross-entropy on MNIST: the dense net of Akrout et al.'s own code.

    lr 0.2, no momentum, batch 128 as there (KP 0.3 and WM 0.05 there; here one rate for all, so that rules compare).
    """
    return RunConfig(
        model=ModelConfig("mlp", weights="paper", hidden=(500,), activation="sigmoid"),
        data=DataConfig("mnist"),
        rule=rule,
        optim=OptimConfig(lr=0.2, momentum=0.0, weight_decay=0.0, schedule="constant"),
        loss="binary",
        epochs=20,
        batch=128,
    )


def folder_resnet18(rule: Rule = BP) -> RunConfig:
    """ResNet-18 at 64 px on a folder of pictures, train/CLASS and val/CLASS.

    Epochs and λ let kp forget its start on some 4,000 pictures (|W − B| falls to 18 %: ``nowt plan`` tells for yours).
    """
    return RunConfig(
        model=ModelConfig("resnet18"),
        data=DataConfig("folder", size=64, augment="shift_flip"),
        rule=rule,
        optim=OptimConfig(lr=0.05, weight_decay=1e-2, warmup=1.0),
        epochs=12,
        batch=64,
        channels_last=True,
    )


def cifar10_resnet20(rule: Rule = BP) -> RunConfig:
    """ResNet-20 on CIFAR-10, the usual recipe of He et al. (2015) with a cosine: published error of bp 8.6 %."""
    return RunConfig(
        model=ModelConfig("resnet20"),
        data=DataConfig("cifar10", augment="shift_flip"),
        rule=rule,
        optim=OptimConfig(lr=0.1, weight_decay=1e-3, warmup=1.0),
        epochs=60,
        batch=128,
        channels_last=True,
    )


# The weight mirror of the ImageNet recipes. What of it the paper used is unknown but for its outcome: before learning
# ResNet-50's convolutions stood at 0.3 to 2.4°, its last layer at 9.2°. By the sampling formula of WeightMirror 2.4°
# where the fan-in is 4608 takes N_eff = 2.6 million positions: 256 samples a mirror step (as many as pictures in a
# training batch, as in the authors' dense code), of 8 x 8 positions, and λ = 0.0125. (The last layer then stands at
# 1.6°: here it sees as many positions as a convolution, there one a sample.) One mirror step in 8 makes B's memory 640
# training steps, an eighth of an epoch; the paper's angles followed a fall of η within 0.8. It costs 3 % more FLOPs.
_IMAGENET_MIRROR = WeightMirror(eta=0.0125, decay=0.0125, samples=256, interval=8, warmup=160)

# Sign-symmetry: fixed magnitudes drawn as W, all layers, as the paper's angles before learning say (47.5° under 49
# convolutions, 50.5° under the last layer). Feedback alignment and Kolen-Pollack: B drawn as W; kp's λ is the
# optimiser's.
IMAGENET_RULES: tuple[Rule, ...] = (
    BP,
    FeedbackAlignment(),
    SignSymmetry(magnitudes="fixed"),
    _IMAGENET_MIRROR,
    KolenPollack(),
)


def resnet18_imagenet(rule: Rule | str = BP) -> RunConfig:
    """ResNet-18 on ImageNet, the setting of Akrout et al. (2019) as far as it can be known.

    Published errors: bp 30.1, kp 29.2, wm 30.2, ss 39.2, fa 97.4 % (of single runs, each on 2,048 of the pictures). A
    rule given by its name gets the fields of IMAGENET_RULES; one given as it is stays so.

    Measured on the authors' poster: η falls tenfold 30 and 60 epochs after learning began; nothing is learned in the
    first two epochs of the 98 shown, in which only the weight mirror works; the last γ of each block starts at 0; the
    fits of the initial angles to a truncated normal under the convolutions and N(0, 0.01) under the classifier.
    Inferred, as the defaults of the code that those point to (Google's ResNet for TPUs) and in agreement with how fast
    kp's angles fall: 90 epochs, η = 0.1 a batch of 256, momentum 0.9, λ = 1e-4, 5 epochs of warm-up, a last fall at 80,
    crops and mirroring, 224 px. The batch there was probably 1024 with η = 0.4; 256 fits one GPU.
    Unknown, and chosen here: all of mirror mode but its outcome, norm_group (32), precision, seeds.
    Not followed: the paper seems to place batch norm behind the ReLU (from memory of its appendix); here it stands
    before it, as in torchvision's nets. The two idle epochs are left out.
    """
    return RunConfig(
        model=ModelConfig("resnet18", weights="paper", zero_init_gamma=True, norm_group=32),
        data=DataConfig("imagenet", size=224, augment="resized_crop"),
        rule=rule_for("resnet18_imagenet", rule) if isinstance(rule, str) else rule,
        optim=OptimConfig(lr=0.1, weight_decay=1e-4, schedule="step", milestones=(30.0, 60.0, 80.0), warmup=5.0),
        probe=ProbeConfig(samples=32),
        epochs=90,
        batch=256,
        channels_last=True,
        precision="bfloat16",
    )


def resnet50_imagenet(rule: Rule | str = BP) -> RunConfig:
    """As ``resnet18_imagenet``, with ResNet-50: published errors bp 22.9, kp 23.9, wm 23.4, ss 33.8, fa 98.9 %."""
    config = resnet18_imagenet(rule)
    return replace(config, model=replace(config.model, name="resnet50"))


RECIPES: dict[str, Callable[[Rule], RunConfig]] = {
    recipe.__name__: recipe
    for recipe in (digits, mnist_mlp, folder_resnet18, cifar10_resnet20, resnet18_imagenet, resnet50_imagenet)
}

RULES_OF = {"resnet18_imagenet": IMAGENET_RULES, "resnet50_imagenet": IMAGENET_RULES}  # where not a rule's defaults


def rule_for(recipe: str, name: str) -> Rule:
    """The rule called ``name`` with the fields that the recipe sets for it, or else its own. Raises ConfigError."""
    kind = find_rule(name)
    return next((rule for rule in RULES_OF.get(recipe, ()) if type(rule) is kind), kind())


def quick(config: RunConfig, epochs: int = 2, pictures: int = 256) -> RunConfig:
    """The same config, small: at most ``epochs`` epochs on at most ``pictures`` pictures, scored on as few; warm-up,
    milestones and mirror mode before learning keep their share of the run."""
    epochs = min(config.epochs, epochs)
    pace = epochs / config.epochs
    warmup, milestones = config.optim.warmup * pace, tuple(m * pace for m in config.optim.milestones)
    train, score = (min(limit or pictures, pictures) for limit in (config.data.train_limit, config.data.score_limit))
    data = replace(config.data, train_limit=train, score_limit=score)
    optim = replace(config.optim, warmup=warmup, milestones=milestones)
    return replace(config, epochs=epochs, data=data, optim=optim, rule=config.rule.shortened(pace))
