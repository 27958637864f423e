"""Similarity of two networks' representations of the same images, layer by layer: linear CKA.

CKA(K, L) = HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)) with linear kernels K = XXᵀ, L = YYᵀ over n images; equation 2 of
Kornblith, Norouzi, Lee and Hinton (2019), "Similarity of neural network representations revisited". It is 1 for a
representation and any orthogonal transform or isotropic scaling of it, whatever the widths.

HSIC is the unbiased estimate HSIC₁ (Song et al. 2012; Nguyen, Raghu and Kornblith 2021, "Do wide and deep networks
learn the same things?", equation 3), computed from U-centered kernels (Székely and Rizzo 2014). With the biased
estimate, two unrelated maps with far more features than images appear similar. The unbiased CKA of unrelated maps is
around 0, and may be slightly negative.

A layer's representation is the output of a convolution or linear layer in eval mode, before normalization and
nonlinearity. The complete feature map is flattened, as in the paper, neither pooled nor subsampled; only the n × n
kernel is kept in memory. Layers are compared by name.
"""

import math

import torch
from torch import Tensor, nn

from nowt.core.errors import UserError
from nowt.layers.model_state import in_mode

MIN_IMAGES = 4  # HSIC₁ divides by n (n − 3)

BLOCK = 65_536  # features that are converted to float64 at a time


def measure(model: nn.Module, reference: nn.Module, x: Tensor) -> dict[str, float]:
    """Return the CKA of each layer that both networks have, on images ``x``.

    Raises:
        ValueError: For fewer than four images, or if the networks share no layer name.
    """
    first, second = kernels(model, x), kernels(reference, x)
    shared = [name for name in first if name in second]
    if not shared:
        raise UserError("the two networks have no layer of the same name")
    return {name: cka(first[name], second[name]) for name in shared}


def cka(first: Tensor, second: Tensor) -> float:
    """Return the linear CKA of two kernels, (n, n); NaN if one of them is constant over the images."""
    a, b = u_centered(first), u_centered(second)
    size = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else math.nan


def u_centered(kernel: Tensor) -> Tensor:
    """Return the U-centered kernel, (n, n), with a zero diagonal: Σ K̃ L̃ / (n (n − 3)) is HSIC₁."""
    n = len(kernel)
    if n < MIN_IMAGES:
        raise UserError(f"CKA needs at least {MIN_IMAGES} images, got {n}")
    kernel = kernel.clone().fill_diagonal_(0.0)
    means = kernel.sum(0) / (n - 2)
    centered = kernel - means[:, None] - means[None, :] + kernel.sum() / ((n - 1) * (n - 2))
    return centered.fill_diagonal_(0.0)


def kernels(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return XXᵀ, (n, n) in float64, of each layer's output for ``x``, by layer name."""
    found: dict[str, Tensor] = {}
    layers = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}

    def record(name: str, output: Tensor) -> None:
        if len(output) == len(x):
            found[name] = kernel(output)

    hooks = [m.register_forward_hook(lambda m, i, output, n=name: record(n, output)) for name, m in layers.items()]
    try:
        with torch.no_grad(), in_mode(model, training=False):
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def kernel(features: Tensor) -> Tensor:
    """Return XXᵀ in float64 of ``features``, (n, ...)."""
    blocks = torch.split(features.detach().flatten(1), BLOCK, dim=1)
    return torch.stack([block.double() @ block.double().T for block in blocks]).sum(0)
