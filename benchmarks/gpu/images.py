"""CIFAR-10, or generated images in its place, on the device; and what is done to a batch of them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.data.datasets import CIFAR10, DATASETS
from nowt.data.images import ImageArrays

CLASSES, SIDE = 10, 32

PROTOTYPES = 8  # of a generated class

SHIFT = 2  # pixels


@dataclass(frozen=True)
class Images:
    """Normalized images, (N, 3, 32, 32), with labels, (N,)."""

    x: Tensor
    y: Tensor


def load(folder: str, device: str, limit: int) -> tuple[Images, Images]:
    """Return training and test images: at most ``limit``, and a fifth as many. An empty folder generates them."""
    if not folder:
        return _generated(limit, device, 1), _generated(max(1, limit // 5), device, 2)
    raw = DATASETS["cifar10"].read(DataConfig("cifar10"), Placement(data=folder), SIDE)
    assert isinstance(raw.train, ImageArrays) and isinstance(raw.test, ImageArrays)
    return _on(device, raw.train, limit), _on(device, raw.test, limit // 5)


def _on(device: str, images: ImageArrays, limit: int) -> Images:
    chosen = torch.randperm(len(images.labels), generator=torch.Generator().manual_seed(0))[:limit].numpy()
    x = CIFAR10(torch.from_numpy(images.pixels[chosen]).to(device))
    return Images(x.contiguous(memory_format=torch.channels_last), torch.from_numpy(images.labels[chosen]).to(device))


def _generated(count: int, device: str, seed: int) -> Images:
    """Return noisy images of smooth prototypes, which a network must learn, but which are easier than CIFAR-10."""
    classes = torch.Generator().manual_seed(0)
    prototypes = torch.randn(CLASSES * PROTOTYPES, 3, 6, 6, generator=classes)
    smooth = F.interpolate(prototypes, size=SIDE, mode="bicubic").to(device)
    stream = torch.Generator().manual_seed(seed)
    y = torch.randint(CLASSES, (count,), generator=stream)
    which = y * PROTOTYPES + torch.randint(PROTOTYPES, (count,), generator=stream)
    noise = torch.randn(count, 3, SIDE, SIDE, generator=stream).to(device)
    x = (smooth[which.to(device)] + 1.5 * noise) / 1.8
    return Images(x.contiguous(memory_format=torch.channels_last), y.to(device))


def augmented(x: Tensor) -> Tensor:
    """Flip each image of a batch with probability 1/2 and shift it by up to 2 pixels, without a wait."""
    count, channels, height, width = x.shape
    down, right = torch.randint(2 * SHIFT + 1, (2, count, 1), device=x.device)
    rows = down + torch.arange(height, device=x.device)
    columns = torch.arange(width, device=x.device).expand(count, width)
    flip = torch.rand(count, 1, device=x.device) < 0.5
    columns = right + torch.where(flip, width - 1 - columns, columns)
    index = rows[:, :, None] * (width + 2 * SHIFT) + columns[:, None, :]
    index = index.view(count, 1, -1).expand(-1, channels, -1)
    padded = F.pad(x, (SHIFT,) * 4, mode="reflect").contiguous().flatten(2)
    return padded.gather(2, index).view(x.shape).contiguous(memory_format=torch.channels_last)
