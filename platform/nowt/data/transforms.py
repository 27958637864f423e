"""Transforms: normalization, random shift and flip, random resized crop, center crop.

The random transforms draw nothing themselves; they are given the numbers drawn for each image.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Box = tuple[float, float, float, float]  # left, upper, right, lower edge, in pixels

ATTEMPTS = 10  # random crops tried before the center crop is used

AREA = (0.08, 1.0)  # range of the crop's share of the image area

RATIO = (3 / 4, 4 / 3)  # range of width to height

SHIFT_FLIP_DRAWS = 3

RESIZED_CROP_DRAWS = 2 * ATTEMPTS + 3


@dataclass(frozen=True)
class Normalize:
    """Normalize images with a fixed mean and standard deviation per channel, for pixels from 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    _kept: dict[tuple[float, torch.device], tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return (pixels − mean) / std in float32; ``pixels``: (B, C, H, W), uint8 to 255 or float32 to 1."""
        mean, std = self._constants(255.0 if pixels.dtype == torch.uint8 else 1.0, pixels.device)
        # in place: for a batch of ImageNet, allocating memory at each step takes longer than the arithmetic
        return pixels.to(torch.float32, copy=True).sub_(mean).div_(std)

    def _constants(self, scale: float, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return mean and std times ``scale``: (C, 1, 1) on ``device``, to which they are copied once."""
        key = scale, device
        if key not in self._kept:
            mean, std = (torch.tensor(v).view(-1, 1, 1).mul(scale).to(device) for v in (self.mean, self.std))
            self._kept[key] = mean, std
        return self._kept[key]


def shift_flip(x: Tensor, draws: NDArray[np.float64], shift: int, flip: bool) -> Tensor:
    """Shift each image by up to ``shift`` pixels, padding with zeros, and flip it with probability 1/2.

    ``x``: (B, C, H, W), normalized, so that zero is the mean color. ``draws``: (B, 3). One gather does both.
    """
    batch, channels, height, width = x.shape
    rows_cols = torch.from_numpy(np.floor(draws[:, :2] * (2 * shift + 1)).astype(np.int64))
    rows = rows_cols[:, :1] + torch.arange(height)
    cols = torch.arange(width).expand(batch, width)
    if flip:
        cols = torch.where(torch.from_numpy(draws[:, 2:] < 0.5), width - 1 - cols, cols)
    cols = rows_cols[:, 1:] + cols
    index = rows[:, :, None] * (width + 2 * shift) + cols[:, None, :]
    index = index.view(batch, 1, -1).expand(-1, channels, -1)
    return F.pad(x, (shift,) * 4).flatten(2).gather(2, index).view_as(x)


def random_resized_crop(width: int, height: int, draws: NDArray[np.float64]) -> tuple[Box, bool]:
    """Return the crop box of one image and whether it is flipped; ``draws``: (23,).

    Inception's crop: an area and an aspect ratio are drawn until the crop fits; after ten attempts it is the center.
    Reference: Szegedy et al. 2015, "Going deeper with convolutions", section 6.
    """
    areas = width * height * (AREA[0] + (AREA[1] - AREA[0]) * draws[:ATTEMPTS])
    ratios = RATIO[0] * (RATIO[1] / RATIO[0]) ** draws[ATTEMPTS : 2 * ATTEMPTS]
    widths, heights = np.rint(np.sqrt(areas * ratios)), np.rint(np.sqrt(areas / ratios))
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    down, right, flip = draws[2 * ATTEMPTS :]
    if not fits.any():
        return _center_in_ratio(width, height), bool(flip < 0.5)
    w, h = float(widths[fits.argmax()]), float(heights[fits.argmax()])
    left, upper = math.floor(right * (width - w + 1)), math.floor(down * (height - h + 1))
    return (left, upper, left + w, upper + h), bool(flip < 0.5)


def center_crop(width: float, height: float, scale: float = 1.0) -> Box:
    """Return the center square whose side is ``scale`` times the short side."""
    side = min(width, height) * scale
    return _centered(width, height, side, side)


def _center_in_ratio(width: float, height: float) -> Box:
    """Return the largest center box with an allowed aspect ratio."""
    return _centered(width, height, min(width, height * RATIO[1]), min(height, width / RATIO[0]))


def _centered(width: float, height: float, w: float, h: float) -> Box:
    left, upper = (width - w) / 2, (height - h) / 2
    return left, upper, left + w, upper + h
