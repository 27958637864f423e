"""How alike two networks represent the same pictures, layer by layer: linear CKA.

Kornblith, Norouzi, Lee and Hinton (2019), "Similarity of neural network representations revisited", equation 2:
CKA(K, L) = HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)), with linear kernels K = XXᵀ, L = YYᵀ over n pictures. It is 1 for a
representation and any orthogonal transform or isotropic scaling of it, whatever the widths.

HSIC is its unbiased estimate HSIC₁ (Song et al. 2012; Nguyen, Raghu and Kornblith 2021, "Do wide and deep networks
learn the same things?", equation 3), written by U-centred kernels (Székely and Rizzo 2014): with the biased one, two
unrelated maps of far more numbers than pictures count as alike. Unrelated ones are around 0, sometimes just below.

A layer's representation is what a convolution or linear layer gives out, in eval mode, before normalisation and
nonlinearity: the whole feature map flattened, as in the paper, neither pooled nor subsampled, since only the n × n
kernel is kept. Layers are compared by name.
"""

import math

import torch
from torch import Tensor, nn

from nowt.evaluation.probes.isolation import in_mode

FEWEST = 4  # pictures: HSIC₁ divides by n (n − 3)

BLOCK = 65_536  # numbers of a map that are taken to float64 at a time


def measure(model: nn.Module, reference: nn.Module, x: Tensor) -> dict[str, float]:
    """CKA of each layer that both networks have, on pictures ``x``. Raises ValueError for fewer than four, and for
    networks that share no layer."""
    ours, theirs = kernels(model, x), kernels(reference, x)
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise ValueError("the two networks have no layer of the same name")
    return {name: cka(ours[name], theirs[name]) for name in shared}


def cka(first: Tensor, second: Tensor) -> float:
    """Linear CKA of two kernels, (n, n); NaN where one of them has no spread over the pictures."""
    a, b = u_centred(first), u_centred(second)
    size = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else math.nan


def u_centred(kernel: Tensor) -> Tensor:
    """The U-centred kernel, (n, n), its diagonal 0: Σ K̃ L̃ / (n (n − 3)) is HSIC₁."""
    n = len(kernel)
    if n < FEWEST:
        raise ValueError(f"CKA takes at least {FEWEST} pictures, and there are {n}")
    kernel = kernel.clone().fill_diagonal_(0.0)
    means = kernel.sum(0) / (n - 2)
    centred = kernel - means[:, None] - means[None, :] + kernel.sum() / ((n - 1) * (n - 2))
    return centred.fill_diagonal_(0.0)


def kernels(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """XXᵀ, (n, n) in float64, of each layer's output for ``x``, by the layer's name."""
    found: dict[str, Tensor] = {}
    layers = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}

    def watch(name: str, output: Tensor) -> None:
        if len(output) == len(x):
            found[name] = kernel(output)

    hooks = [m.register_forward_hook(lambda m, i, output, n=name: watch(n, output)) for name, m in layers.items()]
    try:
        with torch.no_grad(), in_mode(model, training=False):
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def kernel(features: Tensor) -> Tensor:
    """XXᵀ in float64; ``features``: (n, ...)."""
    blocks = torch.split(features.detach().flatten(1), BLOCK, dim=1)
    return torch.stack([block.double() @ block.double().T for block in blocks]).sum(0)
