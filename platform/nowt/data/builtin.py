"""Data sets that need no files: scikit-learn's digits, and pictures drawn on the spot."""

import math

import numpy as np
import torch

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.seeding import generator
from nowt.data.images import Arrays, Found, digest_of
from nowt.data.subsets import SPLIT_SEED, rest, share

SYNTHETIC = 1  # raised whenever synthetic draws other pictures

CLASSES = 10

EACH = 100  # pictures a class

CYCLES = 3  # of a grating across the picture


def digits(config: DataConfig, placement: Placement, size: int) -> Found:
    """1,797 handwritten digits of 8x8 pixels, 16 levels of grey. A fifth of them is test.

    Source: Alpaydin and Kaynak 1998, "Optical recognition of handwritten digits", UCI, from scikit-learn.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = (bunch.images[:, None] / 16).astype(np.float32)
    pictures = Arrays(grey, bunch.target.astype(np.int64))
    return _found(pictures.resized(size), config, CLASSES, pictures.digest())


def synthetic(config: DataConfig, placement: Placement, size: int) -> Found:
    """1,000 gratings, ten orientations for ten classes, each with a phase and faint noise of its own."""
    labels = np.repeat(np.arange(CLASSES), EACH)
    draw = generator(SPLIT_SEED, "synthetic", size)
    phase = torch.rand(len(labels), 1, 1, 1, generator=draw) * 2 * math.pi
    angle = (torch.from_numpy(labels) * math.pi / CLASSES).view(-1, 1, 1, 1)
    along = torch.arange(size) * 2 * math.pi * CYCLES / size
    wave = torch.sin(along * angle.cos() + along[:, None] * angle.sin() + phase)
    pixels = 0.5 + 0.35 * wave + 0.1 * torch.randn(len(labels), 3, size, size, generator=draw)
    return _found(Arrays(pixels.numpy(), labels), config, CLASSES, digest_of("synthetic", SYNTHETIC))


def _found(pictures: Arrays, config: DataConfig, classes: int, content: str) -> Found:
    pictures = _with_noise(pictures, config.noise)
    total = len(pictures.labels)
    test = share(pictures.labels, total // 5, "test")
    return Found(pictures.take(rest(total, test)), pictures.take(test), classes, content)


def _with_noise(pictures: Arrays, sd: float) -> Arrays:
    """The pictures with Gaussian noise that is the same for every run and scales with ``sd``."""
    if sd == 0:
        return pictures
    noise = torch.randn(pictures.pixels.shape, generator=generator(SPLIT_SEED, "noise")).numpy()
    return Arrays((pictures.pixels + sd * noise).astype(np.float32), pictures.labels)
