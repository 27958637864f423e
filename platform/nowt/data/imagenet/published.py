"""Constants of the published data sets: image counts, and ILSVRC2012's images that are not gray or RGB JPEGs.

Counts: Russakovsky et al. 2015, "ImageNet large scale visual recognition challenge", table 2; Le and Yang 2015, "Tiny
ImageNet visual recognition challenge". CMYK images: the list that every conversion of the data set has used since 2014
(cytsai/ilsvrc-cmyk-image-list).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """The number of classes and images of a data set."""

    classes: int
    train: int
    val: int
    train_per_class: tuple[int, int]  # fewest and most
    val_per_class: int


ILSVRC2012 = Counts(1000, 1_281_167, 50_000, (732, 1300), 50)

TINY_IMAGENET = Counts(200, 100_000, 10_000, (500, 500), 50)

PNG = frozenset({"n02105855_2933.JPEG"})

CMYK = frozenset(
    {
        "n01739381_1309.JPEG",
        "n02077923_14822.JPEG",
        "n02447366_23489.JPEG",
        "n02492035_15739.JPEG",
        "n02747177_10752.JPEG",
        "n03018349_4028.JPEG",
        "n03062245_4620.JPEG",
        "n03347037_9675.JPEG",
        "n03467068_12171.JPEG",
        "n03529860_11437.JPEG",
        "n03544143_17228.JPEG",
        "n03633091_5218.JPEG",
        "n03710637_5125.JPEG",
        "n03961711_5286.JPEG",
        "n04033995_2932.JPEG",
        "n04258138_17003.JPEG",
        "n04264628_27969.JPEG",
        "n04336792_7448.JPEG",
        "n04371774_5854.JPEG",
        "n04596742_4225.JPEG",
        "n07583066_647.JPEG",
        "n13037406_4650.JPEG",
        "ILSVRC2012_val_00019877.JPEG",
    }
)


def is_known(name: str, kind: str) -> bool:
    """Return whether the published image of this name has this kind (``CMYK JPEG`` or ``PNG``)."""
    return name in {"CMYK JPEG": CMYK, "PNG": PNG}.get(kind, frozenset())
