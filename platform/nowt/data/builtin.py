"""Data sets that need no files: scikit-learn's digits, and synthetic gratings."""

import math
from functools import cache

import numpy as np
import torch

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.seeding import generator
from nowt.data.images import ImageArrays, RawDataset, digest_of
from nowt.data.subsets import SPLIT_SEED, complement, stratified

SYNTHETIC_VERSION = 1  # raised whenever the images of synthetic change

CLASSES = 10

IMAGES_PER_CLASS = 100

CYCLES = 3  # of a grating across the image


def digits(config: DataConfig, placement: Placement, size: int) -> RawDataset:
    """Return 1,797 handwritten digits, 8x8 pixels, 16 levels of gray. A fifth of them is the test split.

    Reference: Alpaydin and Kaynak 1998, "Optical recognition of handwritten digits", UCI, from scikit-learn.
    """
    images = _digit_images()
    return _raw_dataset(images.resize(size), config, images.digest())


@cache
def _digit_images() -> ImageArrays:
    """Return all digits. They are kept, since reading their text file takes as long as an epoch of a small network."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    gray = (bunch.images[:, None] / 16).astype(np.float32)
    return ImageArrays(gray, bunch.target.astype(np.int64))


def synthetic(config: DataConfig, placement: Placement, size: int) -> RawDataset:
    """Return 1,000 gratings: one orientation for each of ten classes; each image has its own phase and faint noise."""
    labels = np.repeat(np.arange(CLASSES), IMAGES_PER_CLASS)
    draw = generator(SPLIT_SEED, "synthetic", size)
    phase = torch.rand(len(labels), 1, 1, 1, generator=draw) * 2 * math.pi
    angle = (torch.from_numpy(labels) * math.pi / CLASSES).view(-1, 1, 1, 1)
    along = torch.arange(size) * 2 * math.pi * CYCLES / size
    wave = torch.sin(along * angle.cos() + along[:, None] * angle.sin() + phase)
    pixels = 0.5 + 0.35 * wave + 0.1 * torch.randn(len(labels), 3, size, size, generator=draw)
    return _raw_dataset(ImageArrays(pixels.numpy(), labels), config, digest_of("synthetic", SYNTHETIC_VERSION))


def _raw_dataset(images: ImageArrays, config: DataConfig, content: str) -> RawDataset:
    images = _with_noise(images, config.noise)
    total = len(images.labels)
    test = stratified(images.labels, total // 5, "test")
    return RawDataset(images.take(complement(total, test)), images.take(test), CLASSES, content)


def _with_noise(images: ImageArrays, std: float) -> ImageArrays:
    """Add Gaussian noise of standard deviation ``std``, the same noise in every run."""
    if std == 0:
        return images
    noise = torch.randn(images.pixels.shape, generator=generator(SPLIT_SEED, "noise")).numpy()
    return ImageArrays((images.pixels + std * noise).astype(np.float32), images.labels)
