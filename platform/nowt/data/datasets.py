"""Opens a data set by name, split into train, val and test.

``open_data`` reads local files and never downloads. Splits are drawn from constants, so every run of a data set has
the same ones, unless ``data.split`` is ``"by_seed"``. ``RunData`` is what decides a run's images and their split:
opened data that runs share is found by it. Images of fixed size, and files that are always prepared the same way, are
held as pixels (``ArraySplit``). With ``resized_crop``, training files are decoded as they are needed
(``StreamSplit``), or once with ``decoded_side``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig, RunConfig
from nowt.core.errors import DataError, require
from nowt.core.formatting import counted
from nowt.data import builtin, cache, cifar10, image_folder, mnist
from nowt.data.duplicates import Part, describe_duplicates
from nowt.data.images import ImageArrays, ImageFiles, RawDataset, digest_of
from nowt.data.splits import ArraySplit, Split
from nowt.data.squares import Squares
from nowt.data.stream_split import StreamSplit
from nowt.data.subsets import Ints, balanced, complement, stratified
from nowt.data.transforms import Normalize

EVAL_SCALE = 224 / 256  # side of the evaluation crop relative to the short side, if training uses resized crops


@dataclass(frozen=True)
class DatasetSpec:
    """How a data set is read, and its constants."""

    read: Callable[[DataConfig, Placement, int], RawDataset]
    size: int  # default height and width in pixels
    normalize: Normalize
    max_val: int | None = None  # validation takes a tenth of the training images, but at most this many


IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

CIFAR10 = Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))

IDENTITY = Normalize((0.0,), (1.0,))  # published dense networks take pixels from 0 to 1

DATASETS = {
    "digits": DatasetSpec(builtin.digits, 8, Normalize((0.3053,), (0.3760,))),
    "synthetic": DatasetSpec(builtin.synthetic, 16, Normalize((0.5,) * 3, (0.27,) * 3)),
    "mnist": DatasetSpec(mnist.read, 28, IDENTITY, 5_000),
    "fashion_mnist": DatasetSpec(mnist.read, 28, IDENTITY, 5_000),
    "cifar10": DatasetSpec(cifar10.read, 32, CIFAR10, 5_000),
    "folder": DatasetSpec(image_folder.read, 224, IMAGENET),
    "imagenet": DatasetSpec(image_folder.read, 224, IMAGENET, 50_000),
}

BUILTIN = ("digits", "synthetic")


@dataclass(frozen=True)
class DatasetSplits:
    """The splits of an open data set."""

    train: Split
    val: Split
    test: Split | None  # None if it was not requested
    classes: int
    shape: tuple[int, int, int]  # (channels, height, width) of the network's input
    fingerprint: str  # hash of the content and the splits, independent of where the images are stored
    images: str  # the fingerprint with the fixed split: it tells whether two runs of any seeds used the same images
    skipped: tuple[str, ...]  # images left out with on_bad="skip", as "name: reason"
    left_out: Mapping[str, int]  # files and folders that are no images of the data set: number by kind
    duplicates: str  # a line that counts images of equal content, of files only; empty if there are none
    class_folders: tuple[str, ...]  # their names, the label of each being its index; empty for data without folders
    split_seed: int | None = None  # None for the fixed split


@dataclass(frozen=True)
class RunData:
    """What decides which images a run uses, and how they are split."""

    config: DataConfig
    test: bool = True  # whether the test images are opened
    split_seed: int | None = None  # None for the fixed split

    @classmethod
    def of(cls, config: RunConfig) -> "RunData":
        """Return that of a run."""
        return cls(config.data, bool(config.test), config.seed if config.data.split == "by_seed" else None)

    def open(self, placement: Placement) -> DatasetSplits:
        """Open the images; see ``open_data``."""
        return open_data(self.config, placement, self.test, self.split_seed)


def open_data(
    config: DataConfig, placement: Placement, test: bool = True, split_seed: int | None = None
) -> DatasetSplits:
    """Open a data set; its test images only if ``test``. ``split_seed`` is the run's seed if it draws the split.

    Raises DataError if the images are not as expected, ConfigError if the configuration is impossible.
    """
    by_seed = split_seed is not None
    require(by_seed == (config.split == "by_seed"), f"data.split is {config.split}: split_seed is {split_seed}")
    spec = DATASETS[config.name]
    size = config.size or spec.size
    _check(config, size)
    if placement.data and config.name in BUILTIN:
        raise DataError(f"a data folder is given ({placement.data!r}), but {config.name} needs none: omit it")
    raw = spec.read(config, placement, size)
    fixed = validation_indices(raw, spec, placement)
    val_indices = validation_indices(raw, spec, placement, split_seed) if by_seed else fixed
    held_out = val_indices if config.hold_out else val_indices[:0]
    train = raw.train.take(complement(len(raw.train.labels), held_out))
    splits = {"both": raw.train} if by_seed else {"train": train, "val": raw.train.take(held_out)}
    duplicates = _duplicates({**splits, "test": raw.test})
    val = raw.train.take(val_indices)
    train = _limit(train, config.train_limit, "train_limit", raw.classes, split_seed)
    val = _limit(val, config.score_limit, "score_limit", raw.classes)
    tests = _limit(raw.test, config.score_limit, "score_limit", raw.classes)
    return DatasetSplits(
        train=_split(train, config, placement, spec.normalize, size, training=True),
        val=_split(val, config, placement, spec.normalize, size),
        test=_split(tests, config, placement, spec.normalize, size) if test else None,
        classes=raw.classes,
        shape=(len(spec.normalize.mean), size, size),
        fingerprint=digest_of(raw.content, val_indices.tolist()),
        images=digest_of(raw.content, fixed.tolist()),
        skipped=tuple(f"{name}: {reason}" for name, reason in raw.skipped.items()),
        left_out=raw.left_out,
        duplicates=duplicates,
        class_folders=tuple(raw.class_folders),
        split_seed=split_seed,
    )


def _duplicates(splits: Mapping[str, ImageArrays | ImageFiles]) -> str:
    """Return the line about images of equal content in all splits. If each seed draws its own, train and val are one,
    so that the line is the same for all."""
    parts = [Part.of(name, files) for name, files in splits.items() if isinstance(files, ImageFiles)]
    return describe_duplicates(parts) if parts else ""


def validation_indices(raw: RawDataset, spec: DatasetSpec, placement: Placement, split_seed: int | None = None) -> Ints:
    """Return the indices of the training images that are held out for validation."""
    total = len(raw.train.labels)
    indices = stratified(raw.train.labels, min(round(total / 10), spec.max_val or total), "val", split_seed)
    if len(indices) == 0:
        raise DataError(
            f"{placement.data} has {counted(total, 'training image')}: too few to use a tenth of them for validation"
        )
    return indices


def _check(config: DataConfig, size: int) -> None:
    require(
        config.augment != "resized_crop" or config.name in ("folder", "imagenet"),
        f"data.augment resized_crop is for folder and imagenet, not for {config.name}: use shift_flip",
    )
    require(
        config.decoded_side is None or config.decoded_side >= size,
        f"data.decoded_side is {config.decoded_side}: it must be at least data.size, which is {size}",
    )
    require(
        "shift" not in config.augment or size >= 8,
        f"data.augment {config.augment} shifts by size/8 pixels: data.size must be at least 8, not {size}",
    )


def _limit(
    images: ImageArrays | ImageFiles, limit: int | None, field: str, classes: int, seed: int | None = None
) -> ImageArrays | ImageFiles:
    """Return a balanced choice of ``limit`` images, but at least one per class; a fixed one without ``seed``."""
    return images if limit is None else images.take(balanced(images.labels, max(limit, classes), field, seed))


def _split(
    images: ImageArrays | ImageFiles,
    config: DataConfig,
    placement: Placement,
    normalize: Normalize,
    size: int,
    training: bool = False,
) -> Split:
    repeat = config.repeat if training else 1
    shift = size // 8 if "shift" in config.augment else 0
    flip = "flip" in config.augment
    if isinstance(images, ImageArrays):
        return ArraySplit(images.pixels, images.labels, normalize, repeat, shift, flip, config.shuffle)
    crop = config.augment == "resized_crop"
    scale = EVAL_SCALE if crop else 1.0
    if crop and training:
        squares = _squares(images, config.decoded_side, placement)
        return StreamSplit(images, normalize, repeat, size, scale, placement.loaders, config.shuffle, squares)
    pixels = cache.cached_pixels(images, size, scale, placement)
    return ArraySplit(pixels, images.labels, normalize, repeat, shift, flip, config.shuffle)


def _squares(files: ImageFiles, side: int | None, placement: Placement) -> Squares | None:
    if side is None:
        return None
    return Squares(cache.pixels_file(files, side, 1.0, placement), len(files.labels), side)
