"""Named starting points: functions of a rule that return a RunConfig. A variant changes two lines of another."""

from collections.abc import Callable
from dataclasses import replace

from nowt.config import DataConfig, ModelConfig, OptimConfig, ProbeConfig, RunConfig
from nowt.rules.bp import Backprop
from nowt.rules.rule import Rule

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


def resnet18_imagenet(rule: Rule = BP) -> RunConfig:
    """The setting of Akrout et al. (2019) as far as it can be known: published errors bp 30.1, kp 29.2, wm 30.2,
    ss 39.2, fa 97.4 %."""
    return RunConfig(
        model=ModelConfig("resnet18", weights="paper", zero_init_gamma=True, norm_group=32),
        data=DataConfig("imagenet", size=224, augment="resized_crop"),
        rule=rule,
        optim=OptimConfig(lr=0.1, weight_decay=1e-4, schedule="step", milestones=(30.0, 60.0, 80.0), warmup=5.0),
        probe=ProbeConfig(samples=32),
        epochs=90,
        batch=256,
        channels_last=True,
        precision="bfloat16",
    )


def resnet50_imagenet(rule: Rule = BP) -> RunConfig:
    """As ``resnet18_imagenet``, with ResNet-50: published errors bp 22.9, kp 23.9, wm 23.4, ss 33.8, fa 98.9 %."""
    config = resnet18_imagenet(rule)
    return replace(config, model=replace(config.model, name="resnet50"))


RECIPES: dict[str, Callable[[Rule], RunConfig]] = {
    recipe.__name__: recipe
    for recipe in (digits, mnist_mlp, folder_resnet18, cifar10_resnet20, resnet18_imagenet, resnet50_imagenet)
}
