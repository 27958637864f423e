"""The pictures: data sets by name, always split in train, val and test, and their batches.

``open_data`` reads what is there and never downloads. Splits are drawn from constants, so every run of a data
set has the same ones. Pictures of one size, and files that are always prepared alike, are kept as pixels
(``ArraySplit``); under ``resized_crop`` the training files are decoded as they are needed (``StreamSplit``).
"""

from collections.abc import Callable
from dataclasses import dataclass

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError, require
from nowt.data import builtin, cache, cifar10, image_folder, mnist
from nowt.data.images import Arrays, Files, Found, digest_of
from nowt.data.splits import ArraySplit, Colours, Split, StreamSplit
from nowt.data.subsets import balanced, rest, share

CENTRE = 224 / 256  # share of the short side that evaluation sees where training takes resized crops


@dataclass(frozen=True)
class DataSet:
    """How a data set is read and what is fixed about it."""

    read: Callable[[DataConfig, Placement, int], Found]
    size: int  # pixels a side, where the config names none
    colours: Colours
    most_val: int | None = None  # pictures cut from train for validation: a tenth, but no more than this


IMAGENET = Colours((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

CIFAR10 = Colours((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))

AS_IT_IS = Colours((0.0,), (1.0,))  # dense nets of the field take pixels from 0 to 1

DATA_SETS = {
    "digits": DataSet(builtin.digits, 8, Colours((0.3053,), (0.3760,))),
    "synthetic": DataSet(builtin.synthetic, 16, Colours((0.5,) * 3, (0.27,) * 3)),
    "mnist": DataSet(mnist.read, 28, AS_IT_IS, 5_000),
    "fashion_mnist": DataSet(mnist.read, 28, AS_IT_IS, 5_000),
    "cifar10": DataSet(cifar10.read, 32, CIFAR10, 5_000),
    "folder": DataSet(image_folder.read, 224, IMAGENET),
    "imagenet": DataSet(image_folder.read, 224, IMAGENET, 50_000),
}

EMBEDDED = ("digits", "synthetic")


@dataclass(frozen=True)
class Data:
    """A data set, split."""

    train: Split
    val: Split
    test: Split | None  # None where it was not asked for
    classes: int
    shape: tuple[int, int, int]  # (channels, height, width) that the network sees
    fingerprint: str  # of the content and the splits; the same wherever the pictures lie
    skipped: tuple[str, ...]  # pictures left out under on_bad="skip": "name: reason"


def open_data(config: DataConfig, placement: Placement, test: bool = True) -> Data:
    """Open a data set; its test pictures only where ``test``.

    Raises DataError where the pictures are not as expected, ConfigError where the config asks what cannot be.
    """
    kind = DATA_SETS[config.name]
    size = config.size or kind.size
    _check(config, size)
    if placement.data and config.name in EMBEDDED:
        raise DataError(f"--data-dir is {placement.data!r}, but {config.name} needs no folder: leave it out")
    found = kind.read(config, placement, size)
    total = len(found.train.labels)
    cut = share(found.train.labels, min(round(total / 10), kind.most_val or total), "val")
    if len(cut) == 0:
        raise DataError(f"{placement.data} holds {total} training pictures: too few to cut a tenth for validation")
    train = _at_most(found.train.take(rest(total, cut)), config.train_limit, "train_limit", found.classes)
    val, tests = (
        _at_most(part, config.score_limit, "score_limit", found.classes) for part in (found.train.take(cut), found.test)
    )
    return Data(
        train=_split(train, config, placement, kind.colours, size, training=True),
        val=_split(val, config, placement, kind.colours, size),
        test=_split(tests, config, placement, kind.colours, size) if test else None,
        classes=found.classes,
        shape=(len(kind.colours.mean), size, size),
        fingerprint=digest_of(found.content, cut.tolist()),
        skipped=found.skipped,
    )


def _check(config: DataConfig, size: int) -> None:
    require(
        config.augment != "resized_crop" or config.name in ("folder", "imagenet"),
        f"data.augment resized_crop is for folder and imagenet, not for {config.name}: use shift_flip",
    )
    require(
        "shift" not in config.augment or size >= 8,
        f"data.augment {config.augment} shifts by size/8 pixels: data.size must be at least 8, not {size}",
    )


def _at_most(pictures: Arrays | Files, limit: int | None, field: str, classes: int) -> Arrays | Files:
    """At most ``limit`` of the pictures, or one a class: a fixed choice, equally many of each as far as there are."""
    return pictures if limit is None else pictures.take(balanced(pictures.labels, max(limit, classes), field))


def _split(
    pictures: Arrays | Files,
    config: DataConfig,
    placement: Placement,
    colours: Colours,
    size: int,
    training: bool = False,
) -> Split:
    repeat = config.repeat if training else 1
    shift = size // 8 if "shift" in config.augment else 0
    flip = "flip" in config.augment
    if isinstance(pictures, Arrays):
        return ArraySplit(pictures.pixels, pictures.labels, colours, repeat, shift, flip)
    crop = config.augment == "resized_crop"
    centre = CENTRE if crop else 1.0
    if crop and training:
        return StreamSplit(pictures, colours, repeat, size, centre, placement.loaders)
    pixels = cache.pixels(pictures, size, centre, placement)
    return ArraySplit(pixels, pictures.labels, colours, repeat, shift, flip)
