"""With an example, parameters that pass no error back are not named: they are added, scale units or are looked up."""

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from nowt import FeedbackAlignment, attach
from tests.support.nets import normal


def named(model: nn.Module, example: Tensor) -> list[str]:
    """Return the weights that ``attach`` names as using backprop."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        attach(model, FeedbackAlignment(), example=example)
    return [name for line in caught for name in str(line.message).rpartition(": ")[2].split(", ")]


SWIN = torchvision.models.swin_transformer


def transformer(kind: str) -> nn.Module:
    """A small transformer or ConvNeXt of torchvision, with two classes for images of 32 × 32."""
    if kind == "vit":
        model = torchvision.models.VisionTransformer(32, 16, 1, 2, 8, 16, num_classes=2)
        nn.init.normal_(model.heads.head.weight)
        return model
    if kind == "convnext":
        blocks = [torchvision.models.convnext.CNBlockConfig(8, None, 2)]
        return torchvision.models.ConvNeXt(blocks, num_classes=2)
    version = {"swin": (SWIN.SwinTransformerBlock, SWIN.PatchMerging)}
    block, merging = version.get(kind, (SWIN.SwinTransformerBlockV2, SWIN.PatchMergingV2))
    return torchvision.models.SwinTransformer(
        [2, 2], 8, [1, 1], [1, 2], [4, 4], num_classes=2, block=block, downsample_layer=merging
    )


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("vit", {"in_proj_weight", "out_proj.weight"}),
        ("swin", {"qkv.weight", "proj.weight"}),
        ("swin v2", {"qkv.weight", "proj.weight"}),
        ("convnext", set()),
    ],
)
def test_of_torchvisions_networks_only_the_maps_of_attention_are_named(
    kind: str, expected: set[str], samples: int
) -> None:
    found = named(transformer(kind), normal(samples, 3, 32, 32))
    assert {name for name in found if not name.endswith(tuple(expected) or ("any",))} == set()
    assert {end for end in expected if any(name.endswith(end) for name in found)} == expected


class Parameters(nn.Module):
    """A network with parameters of its own, which ``use`` combines with activity."""

    def __init__(self, use: Callable[["Parameters", Tensor], Tensor]) -> None:
        super().__init__()
        self.use = use
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)
        self.p = nn.Parameter(normal(6, 6))
        self.row = nn.Parameter(normal(1, 6))
        self.column = nn.Parameter(normal(6, 1))
        self.queries = nn.Parameter(normal(3, 4))
        self.register_buffer("noise", normal(6, 6))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.use(self, torch.relu(self.first(x))))
        return y


class Scale(torch.autograd.Function):
    """A map that a function computes which torch does not know."""

    @staticmethod
    def forward(ctx: object, x: Tensor, weight: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy() @ weight.numpy())


def into_zeros(net: Parameters, y: Tensor) -> Tensor:
    z = torch.zeros(len(y), 6)
    z[:] = y
    return torch.cdist(z, net.p)


MAPS: dict[str, tuple[Callable[[Parameters, Tensor], Tensor], set[str]]] = {
    "product": (lambda net, y: y @ net.p, {"p"}),
    "part": (lambda net, y: F.linear(y, net.p[:6, :6].t().contiguous()), {"p"}),
    "factors": (lambda net, y: y @ (net.column @ net.row), {"column", "row"}),
    "masked": (lambda net, y: y @ (net.p * net.noise), {"p"}),
    "noisy": (lambda net, y: y @ (net.p + torch.randn(6, 6) * net.column), {"p", "column"}),
    "normalized": (lambda net, y: y @ F.normalize(net.p), {"p"}),
    "gated": (lambda net, y: y @ (net.p * y.mean()), {"p"}),
    "selected": (lambda net, y: (net.p[y.argmax(1)] * y).sum(1, keepdim=True) + y, {"p"}),
    "outer": (lambda net, y: (y.unsqueeze(2) * net.p).sum(1), {"p"}),
    "inner": (lambda net, y: y + (y * net.row).sum(1, keepdim=True), {"row"}),
    "distance": (lambda net, y: torch.cdist(y, net.p), {"p"}),
    "changed constant": (into_zeros, {"p"}),
    "own function": (lambda net, y: Scale.apply(y, net.p), {"p"}),
    "added and product": (lambda net, y: (y + net.row) @ net.row.expand(6, 6), {"row"}),
}

ADDED: dict[str, Callable[[Parameters, Tensor], Tensor]] = {
    "added": lambda net, y: y + net.row,
    "added in place": lambda net, y: y.add_(net.p[0]),
    "joined": lambda net, y: torch.cat([net.row.expand(len(y), -1), y]).view(2, -1, 6).mean(0),
    "scale": lambda net, y: y * net.row,
    "scale from a parameter": lambda net, y: torch.clamp(net.row, max=4.0).exp() * y,
    "norm": lambda net, y: F.layer_norm(y, (6,), net.row[0]),
    "table": lambda net, y: y + net.p[torch.arange(len(y)) % 6],
    "resized": lambda net, y: y + F.interpolate(net.p[None, None], (1, 6))[0, 0],
    "mask": lambda net, y: torch.where(y > 0, y, net.row),
    "metadata": lambda net, y: y + net.row.expand_as(y).to(y),
    "penalty": lambda net, y: y + 0 * net.row.square().sum(),
    "input of a layer": lambda net, y: y + torch.tanh(net.first(net.queries)).sum(0),
}

UNUSED = {"p", "row", "column", "queries"}


@pytest.mark.parametrize("kind", MAPS)
def test_a_parameter_that_is_a_map_is_named(kind: str) -> None:
    use, expected = MAPS[kind]
    found = set(named(Parameters(use), normal(4, 4)))
    assert found >= expected


@pytest.mark.parametrize("kind", ADDED)
def test_a_parameter_that_passes_no_error_is_not_named(kind: str) -> None:
    found = set(named(Parameters(ADDED[kind]), normal(4, 4)))
    assert len(UNUSED - found) == 1  # those that the forward pass does not use are named


def test_the_table_of_an_embedding_bag_is_not_named() -> None:
    model = nn.Sequential(nn.EmbeddingBag(9, 6), nn.Linear(6, 3))
    assert named(model, torch.zeros(2, 4, dtype=torch.long)) == []
