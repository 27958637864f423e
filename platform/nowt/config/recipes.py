"""Recipes: functions that take a rule and return a complete RunConfig. Change single fields with ``replace``."""

from collections.abc import Callable
from dataclasses import replace

from nowt.config.published_recipes import AUTHORS_RULES, mnist_mlp_authors, named_rule
from nowt.config.run_config import DataConfig, ModelConfig, OptimConfig, ProbeConfig, RunConfig
from nowt.rules.backprop import Backprop
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.rule_checks import shortened_rule
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.rules.weight_mirror import WeightMirror

BP = Backprop()


def digits(rule: Rule = BP) -> RunConfig:
    """Train a small residual network on scikit-learn's digits, with noise and shifts: seconds per epoch on one core.

    Args:
        rule: The learning rule. Default: backprop.

    Returns:
        ``tiny_resnet`` on 16-pixel images, each shown 4 times per epoch; SGD with η = 0.05, weight decay 1e-2 and a
        cosine schedule; 10 epochs, batch 32.

    Example:
        >>> from dataclasses import replace
        >>> from nowt import KolenPollack, recipes
        >>> config = replace(recipes.digits(KolenPollack()), epochs=3)
        >>> config.optim.weight_decay
        0.01
    """
    return RunConfig(
        model=ModelConfig("tiny_resnet"),
        data=DataConfig("digits", size=16, augment="shift", repeat=4, noise=0.3),
        rule=rule,
        optim=OptimConfig(lr=0.05, weight_decay=1e-2, warmup=0.5),
        epochs=10,
        batch=32,
    )


def mnist_mlp(rule: Rule = BP) -> RunConfig:
    """Train a 784-500-10 network with sigmoids and binary cross-entropy on MNIST.

    The authors' code uses η = 0.2 for BP and FA, 0.3 for KP and 0.05 for WM; here all rules have the same η, so that
    they can be compared. The data set's files must be in ``Placement.data``.

    Args:
        rule: The learning rule. Default: backprop.

    Returns:
        The dense network with the authors' initialization; SGD with constant η = 0.2, without momentum and weight
        decay; 20 epochs, batch 128. Without weight decay, ``kp`` does not forget its initial B.

    Reference:
        The code published with Akrout et al. (2019), "Deep learning without weight transport".

    Example:
        >>> from nowt import recipes
        >>> recipes.mnist_mlp().model.hidden
        (500,)
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
    """Train ResNet-18 on a folder of images, ``train/CLASS`` and ``val/CLASS``, resized to 64 pixels.

    Epochs and weight decay give ``kp`` time to forget its initial B on about 4,000 images: |W − B| falls to 18 %.
    ``nowt plan`` computes this for your data.

    Args:
        rule: The learning rule. Default: backprop.

    Returns:
        ``resnet18``; SGD with η = 0.05, weight decay 1e-2, one epoch of warm-up and a cosine schedule; shift and flip;
        12 epochs, batch 64.

    Example:
        >>> from nowt import recipes
        >>> recipes.folder_resnet18().data.size
        64
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
    """Train ResNet-20 on CIFAR-10, close to He et al. (2015) but with a cosine schedule.

    The published test error of ``bp`` for ResNet-20 is 8.6 %.

    Args:
        rule: The learning rule. Default: backprop.

    Returns:
        ``resnet20``; SGD with η = 0.1, weight decay 1e-3, one epoch of warm-up and a cosine schedule; shift and flip;
        60 epochs, batch 128.

    Reference:
        He, Zhang, Ren & Sun (2015), "Deep residual learning for image recognition", section 4.2.

    Example:
        >>> from nowt import recipes
        >>> recipes.cifar10_resnet20().epochs
        60
    """
    return RunConfig(
        model=ModelConfig("resnet20"),
        data=DataConfig("cifar10", augment="shift_flip"),
        rule=rule,
        optim=OptimConfig(lr=0.1, weight_decay=1e-3, warmup=1.0),
        epochs=60,
        batch=128,
        channels_last=True,
    )


# The weight mirror of the ImageNet recipes. The paper's mirror settings are unknown except for their outcome: before
# learning, the angles of ResNet-50's convolutions were 0.3 to 2.4° and that of its last layer 9.2°. By the sampling
# formula of WeightMirror, 2.4° at a fan-in of 4608 takes N_eff = 2.6 million positions: 256 samples per mirror step (as
# many as images in a training batch, as in the authors' dense code), 8 x 8 positions, and λ = 0.0125. (The last layer
# then has an angle of 1.6°: here it sees as many positions as a convolution, there one per sample.) With one mirror
# step in 8, B's memory is 640 training steps, an eighth of an epoch; the paper's angles followed a fall of η within 0.8
# epochs. It costs 3 % more FLOPs.
_IMAGENET_MIRROR = WeightMirror(eta=0.0125, decay=0.0125, samples=256, interval=8, warmup=160)

# Sign-symmetry: fixed magnitudes with W's distribution in all layers, as the paper's angles before learning indicate
# (47.5° in 49 convolutions, 50.5° in the last layer). Feedback alignment and Kolen-Pollack: B drawn like W; the λ of kp
# is the optimizer's.
IMAGENET_RULES: tuple[Rule, ...] = (
    BP,
    FeedbackAlignment(),
    SignSymmetry(magnitudes="fixed"),
    _IMAGENET_MIRROR,
    KolenPollack(),
)


def resnet18_imagenet(rule: Rule | str = BP) -> RunConfig:
    """Train ResNet-18 on ImageNet in the setting of Akrout et al. (2019), as far as it is known.

    Published test errors: bp 30.3, kp 29.2, wm 30.4, ss 39.2, fa 97.4 % (each the mean of a single run's last five
    points, measured on 2,048 images).

    Measured from the authors' poster: η falls tenfold 30 and 60 epochs after learning began; nothing is learned in the
    first two of the 98 epochs shown, in which only the weight mirror works; the last γ of each block is initialized to
    0; the initial angles fit a truncated normal in the convolutions and N(0, 0.01²) in the classifier.
    Inferred from the defaults of the code that those settings point to (Google's ResNet for TPUs), and consistent with
    how fast the angles of kp fall: 90 epochs, η = 0.1 per 256 images, momentum 0.9, weight decay 1e-4, 5 epochs of
    warm-up, a last fall at 80, random crops and flips, 224 pixels. The authors' batch was probably 1024 with η = 0.4;
    256 fits one GPU.
    Unknown, and chosen here: all of mirror mode except its outcome, norm_group (32), precision, seeds.
    Not followed: the paper seems to place batch norm after the ReLU (from memory of its appendix); here it is before
    it, as in torchvision's networks. The two idle epochs are left out.

    Args:
        rule: The learning rule, used as given; or its name, which selects the settings in ``IMAGENET_RULES``. Default:
            backprop.

    Returns:
        ``resnet18`` at 224 pixels, 90 epochs, batch 256, bfloat16 autocast.

    Raises:
        ConfigError: If there is no rule of that name.

    Reference:
        Akrout et al. (2019), "Deep learning without weight transport", and the authors' NeurIPS poster.

    Example:
        >>> from nowt import recipes
        >>> recipes.resnet18_imagenet("wm").rule.samples
        256
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
    """Train ResNet-50 on ImageNet; otherwise the same as ``resnet18_imagenet``.

    Published test errors: bp 23.2, kp 23.6, wm 23.6, ss 33.8, fa 99.0 % (as for ResNet-18).

    Args:
        rule: The learning rule, or its name, as in ``resnet18_imagenet``.

    Returns:
        The configuration of ``resnet18_imagenet`` with ``resnet50``.

    Raises:
        ConfigError: If there is no rule of that name.

    Reference:
        Akrout et al. (2019), "Deep learning without weight transport".

    Example:
        >>> from nowt import recipes
        >>> recipes.resnet50_imagenet("kp").model.name
        'resnet50'
    """
    config = resnet18_imagenet(rule)
    return replace(config, model=replace(config.model, name="resnet50"))


RECIPES: dict[str, Callable[[Rule], RunConfig]] = {
    recipe.__name__: recipe
    for recipe in (
        digits,
        mnist_mlp,
        mnist_mlp_authors,
        folder_resnet18,
        cifar10_resnet20,
        resnet18_imagenet,
        resnet50_imagenet,
    )
}

# recipes that do not use every rule's defaults
RULES_OF: dict[str, tuple[Rule, ...]] = {
    "mnist_mlp_authors": AUTHORS_RULES,
    "resnet18_imagenet": IMAGENET_RULES,
    "resnet50_imagenet": IMAGENET_RULES,
}


def rule_for(recipe: str, name: str) -> Rule:
    """Return the rule ``name`` with the recipe's settings for it, or else its defaults. Raises ConfigError."""
    return named_rule(name, RULES_OF.get(recipe, ()))


def scored_on_validation(config: RunConfig) -> RunConfig:
    """Return ``config`` without test images, and with its validation images held out of training: for searches."""
    return replace(config, test=False, data=replace(config.data, hold_out=True))


def shrink_config(config: RunConfig, epochs: int = 2, images: int = 256) -> RunConfig:
    """Return a short version of ``config``: at most ``epochs`` epochs and ``images`` images.

    The limit applies to the training, validation and test images each. Warm-up, milestones and mirror steps before
    learning keep their share of the run.
    """
    epochs = min(config.epochs, epochs)
    pace = epochs / config.epochs
    warmup, milestones = config.optim.warmup * pace, tuple(m * pace for m in config.optim.milestones)
    train, score = (min(limit or images, images) for limit in (config.data.train_limit, config.data.score_limit))
    data = replace(config.data, train_limit=train, score_limit=score)
    optim = replace(config.optim, warmup=warmup, milestones=milestones)
    return replace(config, epochs=epochs, data=data, optim=optim, rule=shortened_rule(config.rule, pace))
