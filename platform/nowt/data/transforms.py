"""Augmentation: what random shift, flip and resized crop do, given the numbers drawn for each picture."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Box = tuple[float, float, float, float]  # left, upper, right, lower edge, in pixels

ATTEMPTS = 10  # crops tried before the centre is taken

AREA = (0.08, 1.0)  # share of the picture's area

RATIO = (3 / 4, 4 / 3)  # width to height

SHIFT_FLIP_DRAWS = 3

RESIZED_CROP_DRAWS = 2 * ATTEMPTS + 3


def shift_flip(x: Tensor, draws: NDArray[np.float64], shift: int, flip: bool) -> Tensor:
    """Each picture moved by up to ``shift`` pixels, zeros moving in, and mirrored with probability 1/2.

    ``x``: (B, C, H, W), normalised, so that zero is the mean colour. ``draws``: (B, 3). One gather does both.
    """
    batch, channels, height, width = x.shape
    rows_cols = torch.from_numpy(np.floor(draws[:, :2] * (2 * shift + 1)).astype(np.int64))
    rows = rows_cols[:, :1] + torch.arange(height)
    cols = torch.arange(width).expand(batch, width)
    if flip:
        cols = torch.where(torch.from_numpy(draws[:, 2:] < 0.5), width - 1 - cols, cols)
    cols = rows_cols[:, 1:] + cols
    places = rows[:, :, None] * (width + 2 * shift) + cols[:, None, :]
    places = places.view(batch, 1, -1).expand(-1, channels, -1)
    return F.pad(x, (shift,) * 4).flatten(2).gather(2, places).view_as(x)


def random_box(width: int, height: int, draws: NDArray[np.float64]) -> tuple[Box, bool]:
    """The crop of one picture and whether it is mirrored; ``draws``: (23,).

    Inception's crop: an area and a ratio of sides are drawn until the crop fits; after ten, it is the centre.
    Source: Szegedy et al. 2015, "Going deeper with convolutions", section 6.
    """
    areas = width * height * (AREA[0] + (AREA[1] - AREA[0]) * draws[:ATTEMPTS])
    ratios = RATIO[0] * (RATIO[1] / RATIO[0]) ** draws[ATTEMPTS : 2 * ATTEMPTS]
    widths, heights = np.rint(np.sqrt(areas * ratios)), np.rint(np.sqrt(areas / ratios))
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    down, right, mirror = draws[2 * ATTEMPTS :]
    if not fits.any():
        return _centre_in_ratio(width, height), bool(mirror < 0.5)
    w, h = float(widths[fits.argmax()]), float(heights[fits.argmax()])
    left, upper = math.floor(right * (width - w + 1)), math.floor(down * (height - h + 1))
    return (left, upper, left + w, upper + h), bool(mirror < 0.5)


def centre_box(width: float, height: float, share: float = 1.0) -> Box:
    """The square in the middle whose side is ``share`` of the short side."""
    side = min(width, height) * share
    return _centred(width, height, side, side)


def _centre_in_ratio(width: float, height: float) -> Box:
    """The largest box in the middle whose ratio of sides is allowed."""
    return _centred(width, height, min(width, height * RATIO[1]), min(height, width / RATIO[0]))


def _centred(width: float, height: float, w: float, h: float) -> Box:
    left, upper = (width - w) / 2, (height - h) / 2
    return left, upper, left + w, upper + h
